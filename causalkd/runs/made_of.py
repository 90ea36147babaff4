"""The models and rows that something was measured on: kept beside what is derived from a run, and compared later."""

import re
from collections.abc import Mapping

from causalkd.files.digests import file_digest
from causalkd.files.manifest import MANIFEST
from causalkd.recipe.recipe import Recipe
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.stages import TEACHER, goals
from causalkd.runs.setup.provenance import SPLITS, checkpoints_of
from causalkd.runs.trained_run import TrainedRun

_DIGEST = re.compile("[0-9a-f]{64}")


def models_of(folder: RunFolder, recipe: Recipe) -> dict[str, str]:
    """A digest of each model of a run by the name of its files; of a teacher on the hub, its name.

    Costs one reading of a teacher that lies in a folder.
    """
    manifests = {name: goal / MANIFEST for name, goal in goals(folder, recipe).items()}
    found = {name: file_digest(manifest) for name, manifest in manifests.items() if manifest.is_file()}
    if recipe.teacher.training is not None:
        return found
    alone = recipe.model_copy(update={"students": (), "teacher": recipe.teacher.model_copy(update={"outputs": None})})
    return {TEACHER: checkpoints_of(alone).get("teacher.model", str(recipe.teacher.model)), **found}


def is_known_of(before: Mapping[str, str] | None, now: Mapping[str, str]) -> bool:
    """Whether something that was measured of some models may be of those of now, by `models_of`.

    It may if an earlier version did not record the models. A teacher's folder that is no longer there has no digest, so
    it is not compared.
    """
    if before is None:
        return True
    was, is_now = (bool(_DIGEST.fullmatch(known.get(TEACHER, ""))) for known in (before, now))
    gone = {TEACHER} if was and not is_now else set()
    return all(before.get(name) == now.get(name) for name in {*before, *now} - gone)


def made_of(run: TrainedRun) -> dict[str, str]:
    """A digest of each model of a run, and of the rows of each split."""
    return models_of(run.folder, run.recipe) | {split: run.data.identity[split]["sha256"] for split in SPLITS}
