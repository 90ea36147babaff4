"""Teachers that several runs share: each is trained once in a store, and copied into the runs that need it."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from filelock import FileLock

from causalkd.files.manifest import MANIFEST, damage
from causalkd.recipe.recipe import Recipe
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.stages import TEACHER, stages


def place_teacher(
    recipe: Recipe, folder: RunFolder, store: Path, sources: Mapping[str, str], train: Callable[[RunFolder], None]
) -> None:
    """Puts a recipe's trained teacher into the folder of its run; trains it in the store if it is not there yet.

    Processes that need the same teacher wait for the one that trains it.

    Args:
        recipe: A recipe whose teacher is to be trained.
        folder: The run that needs it.
        store: The folder of all shared teachers, named by a digest of everything that they depend on.
        sources: Digests of the files that the recipe names for data and teacher, by key.
        train: Trains the teacher into a folder, continuing from the last checkpoint there.

    Raises:
        ValueError: The teacher in the store is not as it was written.
    """
    made_from = {"files": dict(sources)} if sources else {}
    content = json.dumps({**stages(recipe)[TEACHER], **made_from}, sort_keys=True)
    origin = RunFolder(store / hashlib.sha256(content.encode()).hexdigest()[:10])
    origin.path.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{origin.path}.lock"):
        if not (origin.teacher / MANIFEST).is_file():
            train(origin)
            shutil.rmtree(origin.path / "unfinished", ignore_errors=True)
        elif (fault := damage(origin.teacher)) is not None:
            raise ValueError(
                f"the teacher that runs share, {origin.teacher}, is damaged: {fault}; restore it from a copy, or "
                "delete that folder, and it is trained again"
            )
    if folder.teacher.is_dir():
        return
    draft = folder.work(TEACHER) / "copied"
    shutil.rmtree(draft, ignore_errors=True)  # left by a process that was killed
    shutil.copytree(origin.teacher, draft)
    folder.cost(TEACHER).parent.mkdir(exist_ok=True)
    shutil.copyfile(origin.cost(TEACHER), folder.cost(TEACHER))
    os.replace(draft, folder.teacher)
