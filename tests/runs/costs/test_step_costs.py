import time
from pathlib import Path

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from causalkd.recipe.recipe import Recipe
from causalkd.recipe.study_parts import BudgetPart
from causalkd.runs.costs.step_costs import StepCost, _Clock, step_costs
from tests.shrunk import RESUMED


def test_a_step_costs_what_training_counts() -> None:
    students = (
        "students=[{name: kd, layers: [0, 1], objectives: {response_kd: {}}},"
        " {name: diito, layers: [0, 1], objectives: {response_kd: {}, diito: {}}}]"
    )
    costs = step_costs(Recipe.load("quickstart", [*RESUMED, students]))
    assert costs["kd"].block_forwards == 8 * (3 * 2 + 2)  # rows, student's and teacher's blocks
    assert costs["diito"].block_forwards > costs["kd"].block_forwards
    assert 0 < costs["kd"].seconds < 10


def test_a_step_that_costs_less_in_later_epochs_is_not_measured() -> None:
    recipe = Recipe.load("quickstart", [*RESUMED, "training.teacher_cache={max_mib: 1}"])
    with pytest.raises(ValueError, match="'only' has a `teacher_cache`, so that a step costs less in later epochs"):
        step_costs(recipe)


def test_a_budget_buys_whole_steps() -> None:
    cost = StepCost(block_forwards=30.0, seconds=0.5, operations=2e6)
    assert cost.steps(BudgetPart(block_forwards=100)) == 3
    assert cost.steps(BudgetPart(minutes=0.1)) == 12
    assert cost.steps(BudgetPart(operations=1e7)) == 5
    with pytest.raises(ValueError, match="a step costs 30 block_forwards, more than the budget of 29; give a larger"):
        cost.steps(BudgetPart(block_forwards=29))


def test_the_backward_passes_of_maps_count_as_operations() -> None:
    students = (
        "students=[{name: kd, layers: [0, 1], objectives: {response_kd: {}}},"
        " {name: adkd, layers: [0, 1], objectives: {response_kd: {}, adkd: {views: label, target: loss, steps: 1}}}]"
    )
    costs = step_costs(Recipe.load("quickstart", [*RESUMED, students]))
    assert costs["adkd"].block_forwards == costs["kd"].block_forwards
    assert costs["adkd"].operations > 1.3 * costs["kd"].operations


def test_the_seconds_of_a_step_include_those_of_making_its_batch(tmp_path: Path) -> None:
    clock, state = _Clock(), (TrainingArguments(str(tmp_path), report_to="none"), TrainerState(), TrainerControl())
    clock.on_train_begin(*state)
    for _ in range(3):
        time.sleep(0.02)  # batches are loaded, and sequences written, before a step begins
        clock.on_step_begin(*state)
        clock.on_step_end(*state)
    assert min(clock.seconds) >= 0.02
