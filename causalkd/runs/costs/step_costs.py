"""The cost of a training step of each student, measured on a few steps, so that students can get equal budgets."""

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import StudentPart
from causalkd.recipe.study_parts import BudgetPart, with_length
from causalkd.runs.costs.plan import planned
from causalkd.runs.costs.step_flops import compares
from causalkd.runs.setup.data import longest_row
from causalkd.runs.setup.objectives import build_objectives
from causalkd.runs.setup.preflight import preflight
from causalkd.runs.setup.prepare import build_student
from causalkd.runs.setup.sequences import data_with_written_responses, reply_ends
from causalkd.runs.setup.trainer import build_trainer
from causalkd.training.compute import BlockForwards

STEPS = 12
"""Steps of the measurement. Block-forwards and seconds are their mean, because the cost of a step may be random: for
instance, whether a student writes its rows itself. The seconds of the first step are left out."""


@dataclass(frozen=True)
class StepCost:
    """The cost of one optimizer step."""

    block_forwards: float
    """Block-forwards of teacher and student together; a trained block counts three times."""
    seconds: float
    """Wall-clock time, including loading the batches and writing sequences."""
    operations: float
    """Floating-point operations, calculated from the shapes of the batches; see `causalkd.runs.costs.plan`."""

    def steps(self, budget: BudgetPart) -> int:
        """The number of whole steps that a budget allows.

        Raises:
            ValueError: It allows none.
        """
        costs = {"block_forwards": self.block_forwards, "operations": self.operations, "minutes": self.seconds / 60}
        each = costs[budget.unit]
        if budget.amount < each:
            raise ValueError(
                f"a step costs {each:.3g} {budget.unit}, more than the budget of {budget.amount:g}; give a "
                "larger budget"
            )
        return int(budget.amount / each)


def step_costs(recipe: Recipe) -> dict[str, StepCost]:
    """The cost of a step of each student, by name, with the teacher as it is before any training.

    Trains each for a few steps in a temporary folder, which is deleted.

    Raises:
        ValueError: The recipe, the data and the models do not fit together, or a step costs less in later epochs.
    """
    return {part.name: _measured(recipe, part) for part in recipe.students}


def _measured(recipe: Recipe, part: StudentPart) -> StepCost:
    if recipe.training_of(part).teacher_cache is not None and compares(part.objectives):
        raise ValueError(
            f"student {part.name!r} has a `teacher_cache`, so that a step costs less in later epochs than in the few "
            "that are measured; leave it out, or give the budget in steps or epochs"
        )
    recipe = with_length(recipe, {each.name: {"steps": STEPS} for each in recipe.students})
    (part,) = (each for each in recipe.students if each.name == part.name)
    prepared, alignment = preflight(recipe)
    data, teacher = prepared.data, prepared.teacher
    stages = planned(recipe, data, teacher, alignment, speed=1.0).stages
    seed, training = recipe.seeds[0], recipe.training_of(part)
    with tempfile.TemporaryDirectory() as temporary, torch.random.fork_rng():
        folder = Path(temporary)
        student = build_student(part, teacher, data, seed)
        objectives = build_objectives(part.objectives, alignment, teacher, student, seed)
        ends, longest = reply_ends(recipe.data, data.tokenizer), longest_row(recipe.data, data.tokenizer)
        written = folder / "sequences"
        data = data_with_written_responses(training.sequences, data, student, teacher, longest, written, ends)
        trainer = build_trainer(
            recipe, training, data, student, objectives, teacher=teacher, alignment=alignment,
            name=part.name, seed=seed, folder=folder / "student", metrics=folder / "metrics.jsonl",
        )  # fmt: skip
        clock, counter = _Clock(), BlockForwards()
        trainer.add_callback(clock)
        with counter.counting(trainer.student, trainer.teacher):
            trainer.train()
    (stage,) = (each for each in stages if each.name == f"{part.name}-seed{seed}")
    return StepCost(counter.total / STEPS, statistics.fmean(clock.seconds[1:]), float(stage.flops_per_step))


class _Clock(TrainerCallback):
    """Records the seconds of each step with its batches: from the end of one step to the end of the next."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Starts the clock."""
        self._began = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Records the seconds since the last step."""
        now = time.perf_counter()
        self.seconds.append(now - self._began)
        self._began = now
