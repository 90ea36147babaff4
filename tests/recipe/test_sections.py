"""The parts of a recipe: what excludes what, and that every key says what it means."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from causalkd.recipe.part import Part
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import (
    NAME,
    DataPart,
    StudentPart,
    TeacherPart,
    TrainingPart,
    VerificationPart,
)

OBJECTIVE: dict[str, Any] = {"objectives": {"task": {}}}
REFUSED: list[tuple[type[Part], dict[str, Any], str]] = [
    (TrainingPart, {"steps": 3, "epochs": 1}, "`steps` is 3 and `epochs` is 1.0; give only one of them"),
    (TrainingPart, {"warmup": 1.0}, "less than 1"),
    (
        VerificationPart,
        {"pair_selection": "other_variable"},
        "`pair_selection` is other_variable, `variable` is None; give `variable`",
    ),
    (VerificationPart, {"variable": "label"}, "`pair_selection` is uniform, `variable` is label; give `variable` with"),
    (TeacherPart, {}, "give either `model` or `config`; got model=None, config=None"),
    (TeacherPart, {"model": "a", "config": {"model_type": "bert"}}, "give either `model` or `config`"),
    (TeacherPart, {"config": {"hidden_size": 8}, "training": {}}, "`config` needs `model_type`, such as bert or gpt2"),
    (TeacherPart, {"config": {"model_type": "bert"}}, "fresh weights must be trained first: give its `training`"),
    (StudentPart, {"name": "a", **OBJECTIVE}, "give one of `layers`, `every` and `model`; got none of them"),
    (StudentPart, {"name": "a", "every": 2, "model": "b", **OBJECTIVE}, "got every, model"),
    (StudentPart, {"name": "a", "model": "b", "width": 8, **OBJECTIVE}, "`width` is 8, but 'b' has its own; leave"),
    (
        StudentPart,
        {"name": "teacher", "every": 2, **OBJECTIVE},
        "is reserved for the teacher's own log; choose another name",
    ),
    (VerificationPart, {"components": ["mlp_outptu"]}, "'mlp_outptu': did you mean mlp_output?"),
    (
        VerificationPart,
        {"components": ["mlp_activation"]},
        "'mlp_activation': this tensor is not offered; choose one of",
    ),
    (DataPart, {"group": 1}, "greater than or equal to 2"),
]


@pytest.mark.parametrize(("part", "given", "message"), REFUSED)
def test_what_a_part_refuses(part: type[Part], given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        part.model_validate(given)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["..", ".hidden", "-x", "a/b", "", "a b"])
def test_names_that_are_no_good_folder(name: str) -> None:
    with pytest.raises(ValidationError, match="string_pattern_mismatch"):
        StudentPart.model_validate({"name": name, "every": 2, **OBJECTIVE})
    assert NAME.startswith("^") and NAME.endswith("$")


def _undescribed(schema: dict[str, Any]) -> Iterator[str]:
    """The keys that neither say what they mean nor are of a kind that does."""
    definitions = schema["$defs"]
    for name, definition in {"Recipe": schema, **definitions}.items():
        for key, value in definition.get("properties", {}).items():
            branches = [value, value.get("items", {}), *value.get("anyOf", ())]
            kinds = [definitions[branch["$ref"].rpartition("/")[2]] for branch in branches if "$ref" in branch]
            if not any("description" in each for each in (value, *kinds)):
                yield f"{name}.{key}"


def test_the_schema_says_what_every_key_means() -> None:
    assert list(_undescribed(Recipe.model_json_schema())) == []


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for child in model.__subclasses__():
        yield from _models(child)


def test_no_part_takes_an_unknown_key_or_can_be_edited() -> None:
    parts = set(_models(Part))
    assert {Recipe, DataPart, StudentPart, TeacherPart, TrainingPart, VerificationPart} < parts
    for part in parts:
        assert part.model_config.get("extra") == "forbid" and part.model_config.get("frozen")
