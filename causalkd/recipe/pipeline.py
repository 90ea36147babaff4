"""PipelineRecipe: students distilled on text, then each fine-tuned on a list of tasks, read with all faults at once."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError, model_validator

from causalkd.errors import fault_lines, is_file, listed
from causalkd.recipe.commands import refusal
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.overrides import apply_change, fields_of
from causalkd.recipe.part import MOST_ROWS, Part
from causalkd.recipe.recipe import Recipe, read_mapping
from causalkd.recipe.sections import NAME, Listed, LocalPath, Seed
from causalkd.recipe.shared_keys import inherited, not_inherited, swallowed

Name = Annotated[str, Field(pattern=NAME)]


class TaskPart(Part):
    """A task that every model is fine-tuned on."""

    data: Mapping[str, Any] = {}
    """Keys of `data` that differ from those of all tasks; without `task` and `path`, the entry's name is the task."""
    training: Mapping[str, Any] = {}
    """Keys of `training` that differ from those of all tasks."""


class FinetunePart(Part):
    """How every student is fine-tuned."""

    tasks: Mapping[Name, TaskPart] = Field(min_length=1)
    """The tasks by name, in the order of the table's columns."""
    data: Mapping[str, Any] = {}
    """Keys of `data` for all tasks, such as `max_length`."""
    training: Mapping[str, Any]
    """Keys of `training` for all tasks."""
    seeds: Listed[Seed] = Field(default=(0,), min_length=1)
    """Every student is fine-tuned once with each seed."""
    eval_batch_size: int = Field(default=64, ge=1, le=MOST_ROWS)
    """Rows of a forward pass on a task's held-out split."""


class OtherModel(Part):
    """A baseline: a model that is fine-tuned like the students, but not distilled here."""

    name: Name
    """Its name in the table."""
    model: LocalPath
    """Hub name or folder."""


class Subject(NamedTuple):
    """A model that is fine-tuned: a student of a run, or a baseline."""

    name: str
    model: str
    run: Recipe | None = None
    student: str = ""
    seed: int = 0


class PipelineRecipe(Part):
    """Stage 1 distils students, in one run or several; stage 2 fine-tunes each on every task; one table at the end."""

    name: str = Field(pattern=NAME)
    """Names the folder."""
    distill: Listed[Recipe] = Field(min_length=1)
    """The runs of stage 1: names of shipped recipes, files, or recipes written here, perhaps with `extends`. They may
    have different alignments, depths of students and teachers. Their `output` lies in the pipeline's folder."""
    models: Listed[OtherModel] = ()
    """Baselines: models that are fine-tuned like the students."""
    finetune: FinetunePart
    """Stage 2."""
    output: LocalPath | None = None
    """The folder; None for `runs/<name>`."""

    @model_validator(mode="after")
    def _distinct(self) -> "PipelineRecipe":
        names = [subject.name for subject in self.subjects()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or len({run.name for run in self.distill}) < len(self.distill):
            raise ValueError(
                f"runs or models are named twice: {twice or [run.name for run in self.distill]}; rename one"
            )
        return self

    @property
    def folder(self) -> Path:
        """The folder of the pipeline."""
        return Path(self.output or f"runs/{self.name}")

    def runs(self) -> tuple[Recipe, ...]:
        """The runs of stage 1, in the pipeline's folder."""
        return tuple(run.model_copy(update={"output": str(self.folder / "distill" / run.name)}) for run in self.distill)

    def subjects(self) -> Iterator[Subject]:
        """Every model that is fine-tuned, in the order of the table's rows; `model` of a student is its folder."""
        for other in self.models:
            yield Subject(other.name, other.model)
        for run in self.runs():
            several = len(run.students) * len(run.seeds) > 1
            for part in run.students:
                for seed in run.seeds:
                    folder = Path("student", f"{part.name}-seed{seed}" if several else "")
                    name = f"{run.name}-{part.name}" + (f"-seed{seed}" if len(run.seeds) > 1 else "")
                    yield Subject(name, str(run.folder / folder), run, part.name, seed)

    def finetuning(self, subject: Subject, task: str) -> FinetuneRecipe:
        """The fine-tuning of a model on a task.

        Raises:
            ValueError: Keys of `data` or `training` that do not exist or do not fit; every fault, one a line.
        """
        part, shared = self.finetune.tasks[task], self.finetune
        data = inherited(shared.data, part.data)
        if "task" not in data and "path" not in data:
            data["task"] = task
        given = {
            "name": f"{subject.name}-{task}"[:100],
            "model": subject.model,
            "data": data,
            "training": inherited(shared.training, part.training),
            "seeds": list(shared.seeds),
            "eval_batch_size": shared.eval_batch_size,
            "output": str(self.folder / "finetune" / subject.name / task),
        }
        return FinetuneRecipe.parse(given, f"finetune.tasks.{task}")

    def not_inherited(self) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
        """Keys of `finetune.training` and of `finetune.data` that do nothing, since every task sets them itself."""
        tasks, shared = self.finetune.tasks, self.finetune
        training = not_inherited(shared.training, {name: part.training for name, part in tasks.items()})
        data = not_inherited(shared.data, {name: part.data for name, part in tasks.items()})
        return {"training": training, "data": data}

    def swallowed(self, fields: Mapping[str, Any]) -> list[str]:
        """A line for each key that is asked for and does nothing, since every student or every task sets its own.

        Args:
            fields: Dotted fields that the pipeline was asked to have, with their values.
        """
        lines = []
        for number, run in enumerate(self.distill):
            place = f"distill.{run.name}."
            named = ("distill.*.", f"distill.{number}.", place)
            below = {
                f"{place}{field.removeprefix(name)}": value
                for name in named
                for field, value in fields.items()
                if field.startswith(name)
            }
            lines += run.swallowed(below, place)
        for part, found in self.not_inherited().items():
            lines += swallowed(fields, f"finetune.{part}", "task", f"finetune.tasks.TASK.{part}", found)
        return lines

    @classmethod
    def load(cls, source: str | Path, changes: Sequence[str] = ()) -> "PipelineRecipe":
        """Reads a shipped pipeline by name, a YAML file or YAML text, and applies changes.

        Changes reach into the runs of stage 1 by their number or name: `distill.0.training.steps=100`.

        Raises:
            ValueError: No such pipeline, every fault in it and in its recipes, one a line, or a change is of a key that
                no student or no task inherits.
        """
        data, beside = read_mapping(source), Path(str(source)).parent if is_file(Path(str(source))) else None
        runs = data.get("distill")
        if isinstance(runs, list):
            data["distill"] = [read_mapping(run, beside=beside) if isinstance(run, str | dict) else run for run in runs]
        for change in changes:
            apply_change(data, change)
        pipeline = cls.parse(data, str(source))
        faults = pipeline.swallowed(fields_of(changes))
        if faults:
            raise ValueError(listed(refusal("pipeline", source, "pipeline", data), faults))
        return pipeline

    @classmethod
    def parse(cls, data: Mapping[str, Any], origin: str = "pipeline") -> "PipelineRecipe":
        """The pipeline of plain data.

        Raises:
            ValueError: Every fault, one a line.
        """
        faults, runs = [], data.get("distill")
        if isinstance(runs, list | tuple):
            parsed = []
            for number, run in enumerate(runs):
                if not isinstance(run, Mapping | Recipe):
                    faults.append(f"distill[{number}]: {run!r} given, but a recipe is a name, a file or keys")
                    continue
                try:
                    parsed.append(run if isinstance(run, Recipe) else Recipe.parse(run, f"distill[{number}]"))
                except ValueError as error:
                    faults.append(str(error))
            data = {**data, "distill": parsed}
        if not faults:
            try:
                pipeline = cls.model_validate(data)
                subject = next(pipeline.subjects())
            except ValidationError as error:
                faults += fault_lines(error, cls)
            else:
                for task in pipeline.finetune.tasks:
                    try:
                        pipeline.finetuning(subject, task)
                    except ValueError as error:
                        faults.append(str(error))
                if not faults:
                    return pipeline
        raise ValueError(listed(refusal("pipeline", origin, "pipeline", data), faults))
