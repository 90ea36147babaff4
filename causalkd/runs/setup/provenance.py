"""The record of a run's recipe, data and checkpoints, which is kept in its folder and compared later."""

import json
from collections.abc import Mapping
from pathlib import Path

from causalkd.alignment.spec import Alignment
from causalkd.files.digests import files_digest_once
from causalkd.files.whole_files import write_whole
from causalkd.processes.processes import all_processes
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.runs.folder.inputs import OUTPUTS, named_inputs
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.stages import differences, goals
from causalkd.runs.setup.data import Data
from causalkd.runs.setup.source_files import (
    RECIPE,
    SOURCES,
    outputs_digest,
    outputs_of,
    read_record,
    record_readable,
    source_digests,
)

SPLITS = ("train", "heldout")
_CHECKPOINTS, _PROCESSES, _OVERWRITES = "checkpoints", "processes", "overwrites"

_OTHERS = {OUTPUTS: "the outputs are of another teacher, or keep another number of predictions (--top-k),"}


def checkpoints_of(recipe: Recipe | FinetuneRecipe) -> dict[str, str]:
    """A digest of the configuration and the weights of each local checkpoint, and of the description of a teacher's
    precomputed outputs, by the key that names it.

    Costs one reading of these files; `source_digests` does not read them again.
    """
    folders = {key: Path(given) for key, given in named_inputs(recipe) if key.endswith("model") and "\n" not in given}
    found = {key: files_digest_once(_that_make_a_model(folder)) for key, folder in folders.items() if folder.is_dir()}
    return found | outputs_digest(recipe)


def write_identity(
    folder: RunFolder, recipe: Recipe | FinetuneRecipe, data: Data, processes: int, *, overwrites: bool = False
) -> None:
    """Record in the run with which recipe, which data and how many processes it is made, whether it was begun to
    overwrite what was there, and the digests of the files that it names.

    Costs one reading of these files (see `source_digests`).
    """
    files = {_CHECKPOINTS: checkpoints_of(recipe), SOURCES: source_digests(recipe)}
    made_with = {
        **data.identity,
        **files,
        **outputs_of(recipe),
        _PROCESSES: processes,
        _OVERWRITES: overwrites,
        RECIPE: recipe.model_dump(mode="json"),
    }
    write_whole(folder.data, json.dumps(made_with, indent=1, ensure_ascii=False))


def processes_of(folder: RunFolder) -> int | None:
    """The number of processes in which the trainings of a run were begun; None if the run has no record of it.

    Raises:
        ValueError: The run's record cannot be read.
    """
    return read_record(folder).get(_PROCESSES)


def overwrites(folder: RunFolder) -> bool:
    """Whether a run was begun to overwrite what was in its folder.

    Raises:
        ValueError: The run's record cannot be read.
    """
    return bool(read_record(folder).get(_OVERWRITES))


def other_processes(folder: RunFolder, recipe: Recipe | FinetuneRecipe) -> list[str]:
    """The reason why the rest cannot be trained in the present number of processes; empty if it can."""
    before, now = processes_of(folder), all_processes().count
    if before in (None, now) or all(goal.is_dir() for goal in goals(folder, recipe).values()):
        return []
    return [f"the number of processes was {before}, is {now}, so steps would have another number of rows"]


def recipe_as_made(folder: RunFolder, kind: type[Recipe] | type[FinetuneRecipe]) -> Recipe | FinetuneRecipe:
    """The recipe that the run was made with, by its record, even if recipe.yaml has changed since; recipe.yaml if there
    is no record.

    Raises:
        ValueError: The record, or recipe.yaml, cannot be read.
    """
    kept = read_record(folder).get(RECIPE)
    if kept is None:
        return kind.load(folder.recipe)
    with record_readable(folder):
        return kind.parse(kept)


def with_present_paths(
    folder: RunFolder, before: Recipe | FinetuneRecipe, now: Recipe | FinetuneRecipe
) -> Recipe | FinetuneRecipe:
    """The recipe that the run was made with, in which checkpoints that were moved unchanged have their present
    paths.
    """
    with record_readable(folder):
        kept = dict(read_record(folder).get(_CHECKPOINTS, {}))
    same = {key for key, digest in checkpoints_of(now).items() if kept.get(key) == digest}
    if isinstance(before, FinetuneRecipe) or isinstance(now, FinetuneRecipe):
        return before.model_copy(update={key: getattr(now, key) for key in same & {"model"}})
    moved = {name: getattr(now.teacher, name) for name in ("model", "outputs") if f"teacher.{name}" in same}
    models = {part.name: part.model for part in now.students if f"students.{part.name}.model" in same}
    students = tuple(
        part.model_copy(update={"model": models[part.name]}) if part.name in models else part
        for part in before.students
    )
    return before.model_copy(update={"teacher": before.teacher.model_copy(update=moved), "students": students})


def changed_settings(folder: RunFolder, recipe: Recipe, alignment: Alignment) -> list[str]:
    """Lines on how the recipe and the alignment in a run's folder differ from those that it was made with; settings
    that no training depends on, such as those of the verification, do not count.

    Raises:
        ValueError: The run's record cannot be read.
    """
    before = recipe_as_made(folder, Recipe)
    lines = [f"{folder.recipe.name}: {line}" for line in differences(folder, before, recipe)]
    assert isinstance(before, Recipe)
    if before.alignment != alignment:
        lines.append(f"{folder.alignment.name}: the run was made with another alignment")
    return lines


def changed_inputs(folder: RunFolder, data: Data, checkpoints: Mapping[str, str]) -> dict[str, str]:
    """Sentences on how the data of each split and the checkpoints differ from those of the run, by key; a checkpoint
    that no longer exists is left out. Empty if the run has no record.

    Raises:
        ValueError: The run's record cannot be read.
    """
    if not folder.data.is_file():
        return {}
    before = read_record(folder)
    with record_readable(folder):
        kept = {name: (before[name]["rows"], before[name]["sha256"], before[name]["origin"]) for name in SPLITS}
        digests = dict(before.get(_CHECKPOINTS, {}))
    now = data.identity
    return {
        name: f"{name}: the run was made with {rows} rows of {origin} (sha256 {digest[:12]}), and there are now "
        f"{now[name]['rows']} rows of {now[name]['origin']} (sha256 {now[name]['sha256'][:12]})"
        for name, (rows, digest, origin) in kept.items()
        if (rows, digest) != (now[name]["rows"], now[name]["sha256"])
    } | {
        key: f"{key}: {_OTHERS.get(key, 'the files of this checkpoint are others')} than when the run was made"
        for key, digest in checkpoints.items()
        if digests.get(key, digest) != digest
    }


def _that_make_a_model(folder: Path) -> list[Path]:
    return sorted(path for pattern in ("config.json", "*.safetensors", "*.bin") for path in folder.glob(pattern))
