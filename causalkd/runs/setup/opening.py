"""The start of a run in its folder: alone, overwriting no finished run, and continuing only a run like itself."""

from collections.abc import Callable
from contextlib import ExitStack

from causalkd.alignment.spec import Alignment
from causalkd.data.tasks.two_tokenizers import carried
from causalkd.processes.processes import all_processes
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.lock import locked
from causalkd.runs.folder.stages import begun, differences, unused_of_data
from causalkd.runs.setup.data import Data
from causalkd.runs.setup.provenance import (
    changed_inputs,
    checkpoints_of,
    other_processes,
    overwrites,
    processes_of,
    recipe_as_made,
    with_present_paths,
    write_identity,
)
from causalkd.runs.setup.without_effect import without_effect


def hold(folder: RunFolder, held: ExitStack, overwrite: bool) -> bool:
    """Keeps other processes out of a folder that holds something, until `held` is closed; whether it holds something.

    If it holds only what a killed process has left, that is deleted.

    Raises:
        ValueError: Another process is working there, or the folder holds a finished run and `overwrite` is false.
    """

    def keep_others_out() -> bool:
        if not folder.holds_anything():
            return False
        held.enter_context(locked(folder.path))
        return True

    is_held = all_processes().in_first(keep_others_out)
    if not overwrite:
        _refuse_finished(folder)
    return is_held


def begin(
    folder: RunFolder,
    held: ExitStack,
    recipe: Recipe | FinetuneRecipe,
    data: Data,
    alignment: Alignment | None = None,
    *,
    is_held: bool,
    overwrite: bool,
    tell: Callable[[str], None] | None,
) -> None:
    """Begins a run in a folder that `hold` was called for, or lets the unfinished run there continue.

    One process writes, and the others wait for it.

    Args:
        folder: The folder.
        held: Keeps other processes out of the folder until it is closed.
        recipe: The recipe of the run.
        data: The data of the run.
        alignment: The alignment; None if the recipe has none.
        is_held: The result of `hold`: whether other processes are kept out already.
        overwrite: Whether a run in the folder may be set aside; one that was itself begun so continues if it can.
        tell: Receives a line about each split of the data, and about each key without effect.

    Raises:
        ValueError: The folder holds something other than an unfinished run of this recipe, or cannot be written.
    """

    def open_folder() -> None:
        if not is_held:
            _make(folder, held)
        _open(folder, recipe, data, alignment, overwrite, tell or (lambda line: None))
        if tell is not None:
            for split in (data.train, data.heldout):
                tell(split.summary())
            for line in filter(None, [carried(data.train), *without_effect(recipe, data.train.kind)]):
                tell(line)

    all_processes().in_first(open_folder)


def _refuse_finished(folder: RunFolder) -> None:
    if folder.finished:
        raise ValueError(f"{folder.path} holds a finished run; choose another `output`, or overwrite it (--overwrite)")


def _make(folder: RunFolder, held: ExitStack) -> None:
    """Makes the folder, empty, and keeps other processes out of it."""
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        held.enter_context(locked(folder.path))
    except OSError as error:
        raise ValueError(f"a run cannot be written to {folder.path}: {error}; choose another `output`") from error


def _open(
    folder: RunFolder,
    recipe: Recipe | FinetuneRecipe,
    data: Data,
    alignment: Alignment | None,
    overwrite: bool,
    tell: Callable[[str], None],
) -> None:
    """Begins a run, or checks that the folder holds an unfinished one that can continue with this recipe."""
    if not folder.hardly_begun():
        if overwrite and not _overwrites_already(folder, recipe, data):
            folder.set_aside()
        elif folder.recipe.is_file():
            _refuse_finished(folder)
            if overwrite:
                tell(f"the run that an earlier --overwrite began in {folder.path} goes on; delete it to begin anew")
            _continue(folder, recipe, data, alignment)
            return
        else:
            raise ValueError(f"{folder.path} holds something that is not a run; choose another `output`")
    write_identity(folder, recipe, data, all_processes().count, overwrites=overwrite)
    folder.start(recipe, alignment)


def _overwrites_already(folder: RunFolder, recipe: Recipe | FinetuneRecipe, data: Data) -> bool:
    """Whether the unfinished run in a folder was itself begun to overwrite, and can go on: it is that call again."""
    if folder.finished or not folder.recipe.is_file():
        return False
    try:
        if (folder.replaced / folder.recipe.name).is_file() or overwrites(folder):
            _how_it_goes_on(folder, recipe, data)
            return True
    except ValueError:  # which a run that is not to be overwritten is refused with
        pass
    return False


def _continue(folder: RunFolder, recipe: Recipe | FinetuneRecipe, data: Data, alignment: Alignment | None) -> None:
    """Lets an unfinished run continue with a recipe that may differ in settings that no training so far depends on."""
    differs, processes = _how_it_goes_on(folder, recipe, data)
    if differs:
        for shared in (
            *folder.path.glob("unfinished/teacher_cache.sqlite*"),
            *folder.path.glob("unfinished/*/*.jsonl"),
        ):
            shared.unlink()  # the teacher or the data that it was made from may have changed
    write_identity(folder, recipe, data, processes, overwrites=overwrites(folder))
    folder.start(recipe, alignment)


def _how_it_goes_on(folder: RunFolder, recipe: Recipe | FinetuneRecipe, data: Data) -> tuple[bool, int]:
    """Whether anything has changed since the unfinished run in a folder was begun, and in how many processes it was.

    Raises:
        ValueError: It cannot go on with this recipe.
    """
    try:
        before = recipe_as_made(folder, type(recipe))
    except ValueError as error:
        raise ValueError(
            f"{folder.path} holds an unfinished run of another kind, or its recipe cannot be read; choose another "
            f"`output`, or overwrite it (--overwrite): {error}"
        ) from error
    before = with_present_paths(folder, before, recipe)
    faults, changed = differences(folder, before, recipe), changed_inputs(folder, data, checkpoints_of(recipe))
    if recipe.data.eval_limit != before.data.eval_limit and unused_of_data(recipe):
        changed.pop("heldout", None)
    processes = all_processes().count
    if begun(folder, before):
        processes = processes_of(folder) or processes
        faults = faults or [*changed.values(), *other_processes(folder, recipe)]
    if faults:
        raise ValueError(
            f"{folder.path} holds an unfinished run of another recipe ({folder.recipe}), or of other data, checkpoints "
            f"or processes: {'; '.join(faults)}; go back to those, choose another `output`, or overwrite it "
            "(--overwrite)"
        )
    return recipe != before or bool(changed), processes
