"""The parts of a study: what they say and what they refuse."""

import pytest
from pydantic import ValidationError

from causalkd.recipe.recipe import Recipe
from causalkd.recipe.study_parts import BudgetPart, ChoosePart, EvaluationPart, PowerPart

AMOUNTS = {"steps": 3, "epochs": 0.5, "block_forwards": 1e6, "operations": 1e9, "minutes": 2.0}


@pytest.mark.parametrize(("unit", "amount"), AMOUNTS.items())
def test_a_budget_has_one_unit(unit: str, amount: float) -> None:
    part = BudgetPart.model_validate({unit: amount})
    assert (part.unit, part.amount) == (unit, amount)
    with pytest.raises(ValidationError, match="give one of steps, epochs, block_forwards, operations, minutes; got"):
        BudgetPart.model_validate({unit: amount, "steps" if unit != "steps" else "epochs": 1})


def test_a_further_task_has_a_label() -> None:
    assert EvaluationPart(task="mrpc").label == "mrpc/validation"


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("training.steps", "is the budget's"),
        ("training.epochs", "is the budget's"),
        ("data.seed", "is not a key of a student's `training` or `objectives`"),
    ],
)
def test_what_cannot_be_chosen(field: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ChoosePart.model_validate({"fields": {field: [1]}})
    with pytest.raises(ValidationError, match="has no values"):
        ChoosePart.model_validate({"fields": {"training.batch_size": []}})


def test_a_student_is_not_given_an_objective_as_a_setting() -> None:
    part = ChoosePart.model_validate({"fields": {"objectives.diito.weight": [0.5, 1.0]}})
    (fault,) = part.faults(Recipe.load("quickstart"))
    assert "the student 'kd' has no objective 'diito'" in fault


def test_the_spread_is_of_a_pilot_or_given() -> None:
    assert PowerPart(pilot_seeds=2).sd is None and PowerPart(sd={"f1": 0.1}).pilot_seeds is None
    for given in ({}, {"pilot_seeds": 2, "sd": {"f1": 0.1}}):
        with pytest.raises(ValidationError, match="give either `pilot_seeds` or `sd`"):
            PowerPart.model_validate(given)
    with pytest.raises(ValidationError, match=r"sd\.f1 is 0\.0; a standard deviation is above 0"):
        PowerPart(sd={"f1": 0.0})
