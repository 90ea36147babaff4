"""A recipe's objectives become objects with their settings and weights."""

import pytest

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.atkd import ATKD, DKD
from causalkd.objectives.diito import DIITO, DIITOHidden
from causalkd.objectives.hidden_kd import HiddenKD
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from causalkd.recipe.objectives import ObjectivesPart
from causalkd.recipe.recipe import Recipe
from causalkd.runs.setup.data import Data
from causalkd.runs.setup.objectives import build_objectives
from causalkd.runs.setup.prepare import build_alignment, build_student, build_teacher


@pytest.fixture(scope="module")
def teacher(recipe: Recipe, data: Data) -> HookedModel:
    return build_teacher(recipe.teacher, data, "teacher")


def test_objectives_get_their_settings_and_weights(recipe: Recipe, teacher: HookedModel, data: Data) -> None:
    student = build_student(recipe.students[0], teacher, data, 0)
    chosen = {
        "task": {"weight": 0.5},
        "response_kd": {"temperature": 3, "tokens": "labelled"},
        "atkd": {"split": "running"},
        "dkd": {},
        "hidden_kd": {"distance": "squared"},
        "diito": {"weight": 2, "temperature": 4, "pairs": "all", "crossway": True},
        "diito_hidden": {},
    }
    built = build_objectives(
        ObjectivesPart.model_validate(chosen), build_alignment(recipe.alignment, teacher, student), teacher, student, 7
    )
    assert {name: weighted.weight for name, weighted in built.items()} == {
        name: {"task": 0.5, "diito": 2.0}.get(name, 1.0) for name in chosen
    }
    kinds = {
        "task": TaskLoss,
        "response_kd": ResponseKD,
        "atkd": ATKD,
        "dkd": DKD,
        "hidden_kd": HiddenKD,
        "diito": DIITO,
        "diito_hidden": DIITOHidden,
    }
    assert all(isinstance(built[name].objective, kind) for name, kind in kinds.items())
    response, diito = built["response_kd"].objective, built["diito"].objective
    assert isinstance(response, ResponseKD) and (response.temperature, response.tokens) == (3, "labelled")
    assert isinstance(diito, DIITO) and diito.temperature == 4
