import pytest
from pydantic import ValidationError

from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.part import Part
from causalkd.recipe.pipeline import PipelineRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.study import Study


class _Example(Part):
    number: float = 1.0
    """A number."""


@pytest.mark.parametrize("given", [{"number": "2"}, {"number": float("nan")}, {"other": 1}])
def test_a_part_takes_nothing_for_something_else(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        _Example.model_validate(given)


def test_a_part_stays_as_it_was_read_and_says_what_its_fields_mean() -> None:
    part = _Example(number=2.0)
    with pytest.raises(ValidationError, match="frozen"):
        part.number = 3.0
    assert _Example.model_json_schema()["properties"]["number"]["description"] == "A number."


def _parts(part: type[Part]) -> set[type[Part]]:
    return {part}.union(*(_parts(each) for each in part.__subclasses__()))


@pytest.mark.parametrize("part", sorted(_parts(Part), key=lambda part: part.__name__), ids=lambda part: part.__name__)
def test_whatever_has_several_values_takes_a_list_of_yaml(part: type[Part]) -> None:
    """`lora.targets` took a tuple alone, which no YAML file can say."""
    assert {Recipe, FinetuneRecipe, PipelineRecipe, Study} <= _parts(Part)
    refused = []
    for name in part.model_fields:
        try:
            part.model_validate({name: ["x"]})
        except ValidationError as error:
            refused += [name for fault in error.errors() if fault["type"] == "tuple_type" and fault["loc"][0] == name]
    assert not refused
