"""The hub names of a run's models and data sets, for the model cards of its students."""

from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from causalkd.data.tasks.raw_rows import local_file
from causalkd.data.tasks.registry import task_spec
from causalkd.models.packaged_weights import PACKAGED
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import StudentPart


def base_model(recipe: Recipe, part: StudentPart) -> str | None:
    """The hub name of the model that a student begins as, its own or the teacher; None if it is not from the hub."""
    return _hub_name(part.model or recipe.teacher.model)


def datasets(recipe: Recipe) -> tuple[str, ...]:
    """The hub names of the data sets that the students are trained and measured on; empty if a local file that is read
    instead holds other rows than the data set's split.
    """
    data = recipe.data
    if data.task is not None:
        spec = task_spec(data.task)
        files = [local_file(spec, split) for split in ("train", "validation")]
        return () if any(found is not None and found[1].note for found in files) else spec.hub[:1]
    name = _hub_name(None if data.path is None else str(data.path))
    return () if name is None else (name,)


def _hub_name(name: str | Path | None) -> str | None:
    """The name, if it can be a hub name and is neither a local path nor the name of packaged weights."""
    if name is None or str(name) in PACKAGED or Path(name).expanduser().exists():
        return None
    try:
        validate_repo_id(str(name))
    except HFValidationError:
        return None
    return str(name)
