"""Checks of a run's paths: its inputs must lie outside its folder, and its file names must not be too long."""

import os
from collections.abc import Iterator
from pathlib import Path

from causalkd.data.tasks.raw_rows import DATA_VARIABLE
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.stages import stages

OUTPUTS = "teacher.outputs"
"""The key of a teacher's precomputed outputs among the inputs."""


def check_inputs_outside(recipe: Recipe | FinetuneRecipe) -> None:
    """Refuses a recipe whose run would overwrite its own inputs.

    Raises:
        ValueError: Inputs lie in the output folder; the message names all of them.
    """
    output = recipe.folder.resolve()
    inside = [f"{key} is {given!r}" for key, given in named_inputs(recipe) if _lies_in(given, output)]
    if inside:
        raise ValueError(
            f"the run is to be written into {recipe.folder}, and {', '.join(inside)}, which lies in that folder and "
            "would be overwritten; choose another `output`, or copy the input elsewhere"
        )


def check_names_fit(recipe: Recipe | FinetuneRecipe) -> None:
    """Refuses names that the file system cannot hold.

    Raises:
        ValueError: The path of a checkpoint is too long.
    """
    folder = RunFolder(recipe.folder.absolute())
    there = next(parent for parent in (folder.path, *folder.path.parents) if os.path.exists(parent))
    for name in stages(recipe):
        draft = f".{name}.json.draft"  # The longest file name; the path of a checkpoint's file is the longest path.
        parts = (*folder.path.relative_to(there).parts, draft)
        for path in (*(there / part for part in parts), folder.work(name) / "checkpoint-1000000000" / draft):
            try:
                path.lstat()
            except (FileNotFoundError, NotADirectoryError):  # the second is refused when the folder is made
                continue
            except OSError as error:
                raise ValueError(
                    f"files of {name[:80]!r} cannot be made in {recipe.folder}: {error.strerror}; choose a shorter "
                    "`name`, `output` or student's name, or a folder that can be read"
                ) from None


def named_inputs(recipe: Recipe | FinetuneRecipe) -> Iterator[tuple[str, str]]:
    """Every input by its key; a hub name is not an existing path, so it does no harm here."""
    yield from [("data.tokenizer", recipe.data.tokenizer)] if recipe.data.tokenizer is not None else []
    yield from [("data.path", recipe.data.path)] if recipe.data.path is not None else []
    yield from _of_finetuning(recipe) if isinstance(recipe, FinetuneRecipe) else _of_distillation(recipe)
    yield from [(DATA_VARIABLE, os.environ[DATA_VARIABLE])] if os.environ.get(DATA_VARIABLE) else []


def _of_finetuning(recipe: FinetuneRecipe) -> Iterator[tuple[str, str]]:
    yield from [("model", recipe.model)] if recipe.model is not None else []


def _of_distillation(recipe: Recipe) -> Iterator[tuple[str, str]]:
    yield from [("teacher.model", recipe.teacher.model)] if recipe.teacher.model is not None else []
    yield from [(OUTPUTS, recipe.teacher.outputs)] if recipe.teacher.outputs is not None else []
    yield from [("alignment", recipe.alignment)] if isinstance(recipe.alignment, str) else []
    for part in recipe.students:
        yield from [(f"students.{part.name}.model", part.model)] if part.model is not None else []


def _lies_in(given: str, output: Path) -> bool:
    if "\n" in given or not os.path.exists(given):
        return False
    return Path(given).resolve().is_relative_to(output)
