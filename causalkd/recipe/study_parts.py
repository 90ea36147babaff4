"""The parts of a study: budgets and lengths of training, further tasks, the choice of settings, and power."""

import json
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from causalkd.recipe.overrides import LENGTHS
from causalkd.recipe.part import MOST_ROWS, MOST_STEPS, Part
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import Listed, LocalPath, Seed

Unit = Literal["steps", "epochs", "block_forwards", "operations", "minutes"]


class BudgetPart(Part):
    """The training budget of every student of every cell: one of these keys."""

    steps: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    """Equal steps: optimizer steps."""
    epochs: float | None = Field(default=None, gt=0, le=MOST_STEPS)
    """Equal epochs: passes over the training examples."""
    block_forwards: float | None = Field(default=None, gt=0)
    """Equal compute: forwards of one block over one row, teacher and student together, a trained block three times.
    Each student gets as many whole steps as its cost per step allows, which is measured beforehand on a few steps."""
    operations: float | None = Field(default=None, gt=0)
    """Equal compute, in floating-point operations as `causalkd plan` counts them: unlike block-forwards, with the
    backward passes of attribution maps, so that methods with and without maps can be compared."""
    minutes: float | None = Field(default=None, gt=0)
    """Equal time: the same, by the wall-clock time of a step on the machine that begins the study."""

    @model_validator(mode="after")
    def _one_unit(self) -> "BudgetPart":
        given = [unit for unit in BudgetPart.model_fields if getattr(self, unit) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(BudgetPart.model_fields)}; got {', '.join(given) or 'none'}")
        return self

    @property
    def unit(self) -> Unit:
        """The key that is given."""
        return next(unit for unit in get_args(Unit) if getattr(self, unit))

    @property
    def amount(self) -> int | float:
        """The value of that key."""
        return getattr(self, self.unit)


class EvaluationPart(Part):
    """A task on which the models of each cell are measured, in addition to the recipe's own."""

    task: LocalPath
    """Name of a registered task, or the path of a YAML file that describes your own data."""
    split: str = "validation"
    """One of its labelled splits."""
    limit: int | None = Field(default=None, ge=1, le=MOST_ROWS)
    """Largest number of rows; None means all."""
    max_length: int | None = Field(default=None, ge=1)
    """Longest row in tokens; None means the recipe's, or, if that is not given, 128 or the model's limit."""

    @property
    def label(self) -> str:
        """Its name in tables."""
        return f"{self.task}/{self.split}"


class ChoosePart(Part):
    """Settings of each method that are chosen before the study, on a part of the training examples.

    Every method, that is every student of every variant, tries every combination of the values, each with the same
    seeds and the same budget; the best by `by` is taken, the first of equals. No search library is used: such
    libraries skip or prefer settings by earlier results, which would give the methods unequal budgets.
    """

    fields: Mapping[str, Listed[Any]] = Field(min_length=1)
    """Keys of a student, such as `training.learning_rate` or `objectives.task.weight`, with the values to try."""
    share: float = Field(default=0.1, gt=0, lt=1)
    """Share of the training examples that settings are compared on and are not trained on. The rows that the study
    holds out are not read."""
    seeds: Listed[Seed] = Field(default=(0,), min_length=1)
    """Every setting is tried once with each seed."""
    budget: BudgetPart | None = None
    """The budget of each training; None means the budget of the study."""
    by: str | None = None
    """A measure of the table; None means the metric of the task."""

    @model_validator(mode="after")
    def _fields_of_students(self) -> "ChoosePart":
        lengths = [f"training.{unit}" for unit in ("steps", "epochs")]
        faults = [f"{field} is the budget's; give `budget`" for field in self.fields if field in lengths]
        faults += [
            f"{field} is not a key of a student's `training` or `objectives`; only those are chosen for each student"
            for field in self.fields
            if not field.startswith(("training.", "objectives."))
        ]
        faults += [f"{field} has no values" for field, values in self.fields.items() if not values]
        given = {
            field: [json.dumps(value, sort_keys=True, default=str) for value in self.fields[field]]
            for field in self.fields
        }
        given["seeds"] = [str(seed) for seed in self.seeds]
        faults += [
            f"{name} has a value twice: {', '.join(values)}; give each once"
            for name, values in given.items()
            if len(set(values)) < len(values)
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def faults(self, recipe: Recipe) -> list[str]:
        """The reasons why settings cannot be chosen for a recipe: a student that lacks a field would get an objective
        instead of a setting, and if the recipe holds out training examples, they would be trained on.
        """
        if recipe.data.heldout_share is not None:
            return [
                f"choose: data.heldout_share is {recipe.data.heldout_share}, so settings would be chosen on rows that "
                "the study holds out; leave it out, and the validation split is held out"
            ]
        named = {field.split(".")[1] for field in self.fields if field.startswith("objectives.")}
        return [
            f"choose.fields: the student {part.name!r} has no objective {name!r}; every student needs every field"
            for part in recipe.students
            for name in sorted(named - set(part.objectives.chosen()))
        ]


class PowerPart(Part):
    """The basis for calculating, before the cells are run, the smallest difference that the study can show."""

    pilot_seeds: int | None = Field(default=None, ge=2, le=MOST_ROWS)
    """The cells of this many of the first seeds are run first, and their paired differences give the spread."""
    sd: Mapping[str, float] | None = Field(default=None, min_length=1)
    """Instead: a known standard deviation over seeds of paired differences, for each measure."""

    @model_validator(mode="after")
    def _one_origin(self) -> "PowerPart":
        if (self.pilot_seeds is None) == (self.sd is None):
            raise ValueError("give either `pilot_seeds` or `sd`")
        faults = [
            f"sd.{name} is {value}; a standard deviation is above 0"
            for name, value in (self.sd or {}).items()
            if value <= 0
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self


def with_length(recipe: Recipe, lengths: Mapping[str, Mapping[str, float | int]]) -> Recipe:
    """The recipe with other lengths of training.

    Args:
        recipe: The recipe.
        lengths: For each student by name, its `steps` or its `epochs`.
    """
    students = []
    for part in recipe.students:
        own = {key: value for key, value in part.training.items() if key not in LENGTHS}
        students.append(part.model_copy(update={"training": {**own, **lengths[part.name]}}))
    return recipe.model_copy(update={"students": tuple(students)})
