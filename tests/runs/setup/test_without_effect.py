"""Keys that do nothing in a recipe are said, and no others."""

from pathlib import Path
from typing import Any

import pytest

from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.recipe import Recipe, shipped_recipes
from causalkd.recipe.sections import DataPart
from causalkd.runs.setup.without_effect import RULES, without_effect
from causalkd.task_types import Task

KD: dict[str, Any] = {"task": {}, "response_kd": {}}
NOTHING = [
    ("classification", KD, {"data": {"group": 4}}, "data.group is 4"),
    ("classification", KD, {"data": {"sources": "dataset"}}, "data.sources is 'dataset'"),
    ("classification", {**KD, "diito": {}}, {"data": {"sources": "dataset", "group": 4}}, "data.group is 4"),
    ("classification", KD, {"data": {"seed": 3}}, "data.seed is 3"),
    ("classification", KD, {"data": {"prompt": "chat"}}, "data.prompt is 'chat'"),
    ("classification", KD, {"data": {"keep_validation": True}}, "data.keep_validation is True"),
    ("classification", KD, {"teacher": {"seed": 3}}, "teacher.seed is 3"),
    ("classification", {"task": {}}, {"training": {"teacher_cache": {"max_mib": 1}}}, "training.teacher_cache is"),
    ("classification", KD, {"verification": {"tolerance": 0.1}}, "verification.tolerance is 0.1"),
    ("regression", {"response_kd": {"tokens": "labelled"}}, {}, "students.one.objectives.response_kd.tokens is"),
    ("regression", {"response_kd": {"divergence": "reverse_kl"}}, {}, "students.one.objectives.response_kd.divergence"),
]
SOMETHING = [
    ("classification", {**KD, "diito": {}}, {"data": {"group": 4}}),
    ("classification", {**KD, "diito": {}}, {"data": {"sources": "dataset"}}),
    ("classification", KD, {"data": {"seed": 3, "train_limit": 9}}),
    ("classification", KD, {"data": {"seed": 3, "heldout_share": 0.1, "keep_validation": True}}),
    ("classification", KD, {"data": {"task": "planted", "path": None, "kind": None, "seed": 3}}),
    ("causal_lm", KD, {"data": {"kind": "instructions", "prompt": "chat"}}),
    ("classification", KD, {"teacher": {"seed": 3, "training": {"steps": 1}}}),
    ("classification", KD, {"training": {"teacher_cache": {"max_mib": 1}}}),
    ("regression", KD, {"verification": {"tolerance": 0.1}}),
    ("token_classification", {"response_kd": {"tokens": "labelled"}}, {}),
    ("classification", KD, {"data": {"group": 8}}),
]


def _recipe(
    objectives: dict[str, Any], changes: dict[str, dict[str, Any]], students: list[dict[str, Any]] | None = None
) -> Recipe:
    parts: dict[str, dict[str, Any]] = {
        "data": {"path": "rows.csv", "kind": "classification"},
        "teacher": {"model": "somewhere"},
        "training": {"steps": 1},
        "verification": {},
    }
    student = {"name": "one", "layers": [0], "objectives": objectives}
    made = {part: {**keys, **changes.get(part, {})} for part, keys in parts.items()}
    return Recipe.parse({"name": "r", "alignment": "middle", "students": students or [student], **made})


@pytest.mark.parametrize(("kind", "objectives", "changes", "said"), NOTHING)
def test_a_key_that_does_nothing_is_said(
    kind: Task, objectives: dict[str, Any], changes: dict[str, dict[str, Any]], said: str
) -> None:
    (line,) = without_effect(_recipe(objectives, changes), kind)
    assert line.startswith(said) and "has no effect in this recipe: it acts only with" in line


@pytest.mark.parametrize(("kind", "objectives", "changes"), SOMETHING)
def test_a_key_that_does_something_is_not_said(
    kind: Task, objectives: dict[str, Any], changes: dict[str, dict[str, Any]]
) -> None:
    assert without_effect(_recipe(objectives, changes), kind) == []


def test_a_shared_key_that_every_student_sets_itself_is_said() -> None:
    recipe = Recipe.load("quickstart")
    shared = recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": 2.0})})
    (line,) = without_effect(shared, "classification")
    assert line == "training.epochs is 2.0 and has no effect in this recipe: every student sets it"


@pytest.mark.parametrize(
    ("shared", "own", "said"),
    [
        (None, {"task": 1}, ["students.task.training.teacher_cache"]),
        (None, {"kd": 1}, []),
        (3, {"kd": 1}, ["training.teacher_cache"]),  # which only the student without a teacher inherits
        (3, {"task": 1}, ["students.task.training.teacher_cache"]),
        (3, {"task": None}, []),
        (3, {}, []),
    ],
)
def test_a_student_s_own_key_is_judged_by_its_own_objectives(
    shared: int | None, own: dict[str, int | None], said: list[str]
) -> None:
    def cache(size: int | None) -> dict[str, Any]:
        return {"teacher_cache": None if size is None else {"max_mib": size}}

    students = [
        {"name": name, "layers": [0], "objectives": objectives, "training": cache(own[name]) if name in own else {}}
        for name, objectives in (("kd", {"response_kd": {}}), ("task", {"task": {}}))
    ]
    recipe = _recipe(KD, {"training": cache(shared)}, students)
    assert [line.partition(" ")[0] for line in without_effect(recipe, "classification")] == said


def test_every_rule_is_tried() -> None:
    assert {said.partition(" ")[0].rpartition(".")[2] for *_, said in NOTHING} == {rule.key for rule in RULES}


def test_a_finetuning_has_no_sources() -> None:
    recipe = FinetuneRecipe(name="f", model="m", data=DataPart(group=4), training={"steps": 1})  # type: ignore[arg-type]
    (line,) = without_effect(recipe, "classification")
    assert line.startswith("data.group is 4")


@pytest.mark.parametrize("name", shipped_recipes())
def test_no_shipped_recipe_has_such_a_key(name: str, tmp_path: Path) -> None:
    recipe = Recipe.load(name)
    kinds: tuple[Task, ...] = ("classification", "regression", "causal_lm", "token_classification")
    assert any(without_effect(recipe, kind) == [] for kind in kinds)
