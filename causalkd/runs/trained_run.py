"""A trained run, read from its folder: recipe, data, alignment and models."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from accelerate import PartialState

from causalkd.alignment.spec import Alignment
from causalkd.files.manifest import MANIFEST, damage
from causalkd.models.hooks.hooked_model import HookedModel, Role
from causalkd.models.load import load_model, move_to
from causalkd.models.loading_options import named_options
from causalkd.models.vocabularies import share_entries
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import StudentPart, TeacherPart
from causalkd.runs.folder.kinds import other_kind
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.setup.data import Data, build_data
from causalkd.runs.setup.prepare import build_teacher
from causalkd.runs.setup.prepared import Prepared
from causalkd.runs.setup.provenance import changed_inputs, changed_settings, checkpoints_of
from causalkd.training.precomputed import INDEX, read_index
from causalkd.training.teacher_cache import weights_digest
from causalkd.verification.results.report import VerificationReport


class Trained(NamedTuple):
    """A student, its section of the recipe and its seed."""

    part: StudentPart
    seed: int
    model: HookedModel

    @property
    def folder_name(self) -> str:
        """The name of its files."""
        return f"{self.part.name}-seed{self.seed}"


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A run whose training is done; its models are on this process's device."""

    folder: RunFolder
    recipe: Recipe
    data: Data
    alignment: Alignment
    teacher: HookedModel
    students: tuple[Trained, ...]
    changed: tuple[str, ...] = ()
    """A sentence for each of its data, teacher, settings and alignment that has changed since the run was made."""

    @classmethod
    def load(
        cls, path: str | Path, accept_changed_data: bool = False, prepared: Prepared | None = None
    ) -> "TrainedRun":
        """Read the run in a folder.

        Args:
            path: The folder.
            accept_changed_data: Whether to accept data, a teacher, settings or an alignment other than those that the
                run was made with. Those that the run's report says it was measured with are accepted in any case.
            prepared: The data and the trained teacher, if the caller has them already; None builds and reads them.

        Raises:
            ValueError: The folder holds no run, or one whose training is unfinished, whose models are damaged, or whose
                data, teacher, settings or alignment have changed since it was made.
        """
        folder = RunFolder(Path(path))
        recipe, alignment = read_recipe(folder), Alignment.from_yaml(folder.alignment)
        changed = changed_settings(folder, recipe, alignment)
        # Even if students learned from precomputed outputs, they are compared with the teacher itself.
        outputs = recipe.teacher.outputs
        recipe = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"outputs": None})})
        data = (
            build_data(recipe.data, recipe.teacher, _as_trained(folder, recipe)) if prepared is None else prepared.data
        )
        changed += changed_inputs(folder, data, _teacher_as_given(recipe) if prepared is None else {}).values()
        if changed and not accept_changed_data and tuple(changed) != _accepted(folder):
            raise ValueError(
                f"what the run in {folder.path} was made with has changed. {'; '.join(changed)}. Put it "
                "back, or measure with this on purpose: `causalkd verify RUN --accept-changed-data`, whose report says "
                "so; then other commands take it, too"
            )
        if prepared is not None:
            teacher = prepared.teacher
        elif recipe.teacher.training is None:
            teacher = build_teacher(recipe.teacher, data, "teacher")
        else:
            teacher = load_trained_run(folder.teacher, data, "teacher", recipe.teacher)
        if outputs is not None:
            _check_same_teacher(teacher, Path(outputs), recipe.teacher.model)
        students = tuple(
            Trained(part, seed, load_trained_run(folder.student(recipe, part.name, seed), data, "student"))
            for part in recipe.students
            for seed in recipe.seeds
        )
        device = PartialState().device
        assert device is not None
        for model in (teacher, *(student.model for student in students)):
            move_to(model, device)
        share_entries(teacher, *(student.model for student in students))
        return cls(folder, recipe, data, alignment, teacher, students, tuple(changed))


def _accepted(folder: RunFolder) -> tuple[str, ...]:
    """The changes with which a run was measured on purpose, as its report lists them: a sentence for each."""
    with suppress(ValueError):  # A run without a report that can be read was not measured with any.
        measured_on = VerificationReport.read(folder.report).measured_on
        return () if measured_on is None else measured_on.changed
    return ()


def _teacher_as_given(recipe: Recipe) -> dict[str, str]:
    """The checkpoint of a teacher that the run did not train; later commands read it again."""
    return checkpoints_of(recipe.model_copy(update={"students": ()})) if recipe.teacher.training is None else {}


def _as_trained(folder: RunFolder, recipe: Recipe) -> list[StudentPart]:
    """The students with their trained checkpoints, since their initial ones may have been deleted."""
    seed = recipe.seeds[0]
    return [
        part if part.model is None else part.model_copy(update={"model": str(folder.student(recipe, part.name, seed))})
        for part in recipe.students
    ]


def _check_same_teacher(teacher: HookedModel, outputs: Path, name: str | None) -> None:
    """Refuses to compare students with another teacher than the one whose precomputed outputs they learned from."""
    if not (outputs / INDEX).is_file():  # the outputs may be deleted once the students are trained
        return
    before = read_index(outputs).get("weights")
    if before is not None and before != weights_digest(teacher).hex():
        raise ValueError(
            f"the outputs in {outputs} are of a teacher with other weights than `teacher.model` {name!r}, with which "
            "students are compared; name that teacher, or call `causalkd precompute` with this recipe again"
        )


def finished_models(folder: RunFolder) -> list[Path]:
    """The checkpoints of a fine-tuning, by seed.

    Raises:
        ValueError: It is unfinished, or a checkpoint is not as it was written.
    """
    recipe = FinetuneRecipe.load(folder.recipe)
    found = [folder.model(recipe, seed) for seed in recipe.seeds]
    _check_finished(folder, found, "finetune")
    for origin in found:
        check_whole(origin)
    return found


def _check_finished(folder: RunFolder, models: Sequence[Path], command: str) -> None:
    lacking = [str(path) for path in models if not (path / MANIFEST).is_file()]
    if lacking:
        result = folder.finetuned if command == "finetune" else folder.report
        first = f"delete {result}, which says that it is finished, and " if result.is_file() else ""
        raise ValueError(
            f"the run in {folder.path} is unfinished: {', '.join(lacking)} is missing; "
            f"{first}continue it with the same `causalkd {command}` call"
        )


def load_trained_run(origin: Path, data: Data, role: Role, part: TeacherPart | None = None) -> HookedModel:
    """Load a checkpoint that a run has trained; for a teacher, `part` has its precision and devices.

    Raises:
        ValueError: The checkpoint is not as the run wrote it.
    """
    check_whole(origin)
    options = {} if part is None else named_options(part.dtype, part.device_map)
    return load_model(origin, task=data.train.kind, role=role, labels=data.labels, **options)


def check_whole(origin: Path) -> None:
    """Raises ValueError if a checkpoint that a run has trained is not as it was written."""
    if (fault := damage(origin)) is not None:
        raise ValueError(
            f"the checkpoint {origin} is damaged: {fault}; restore it from a copy, or delete that folder and the "
            "run's report.json or finetune.json, and train it again with the same call"
        )


def read_recipe(folder: RunFolder) -> Recipe:
    """The recipe of a run whose students are all trained.

    Raises:
        ValueError: The folder holds no run, something of another kind, or a run whose training is unfinished.
    """
    other = other_kind(folder.path)
    if other is not None:
        raise ValueError(other)
    recipe = Recipe.load(folder.recipe)
    wanted = [folder.student(recipe, part.name, seed) for part in recipe.students for seed in recipe.seeds]
    _check_finished(folder, wanted, "distill")
    return recipe
