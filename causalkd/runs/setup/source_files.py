"""Digests of the files that a run is made from, by which a finished run is compared with the present files.

A run that continues compares the tokens of its data (`provenance`), which it has read. A study or a pipeline reads no
data for its finished runs; the digests cost one reading of the files.
"""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from causalkd.alignment.spec import Alignment
from causalkd.data.tasks.declared_splits import declares_splits
from causalkd.data.tasks.find_files import find_files
from causalkd.data.tasks.raw_rows import local_file
from causalkd.data.tasks.registry import TASKS
from causalkd.files.digests import files_digest_once
from causalkd.files.refusals import refused
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import DataPart
from causalkd.runs.folder.inputs import OUTPUTS, named_inputs
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.setup.data import data_of
from causalkd.training.precomputed import described_outputs

SOURCES, RECIPE = "files", "recipe"
"""The keys of these digests and of the recipe in a run's `data.json`."""
_OF_A_TASK = "data.task"
_OF_A_TOKENIZER = ("tokenizer*", "vocab*", "merges*", "*.model", "special_tokens_map.json", "added_tokens.json")
_OF_WEIGHTS = ("config.json", "*.safetensors", "*.bin", "*.gguf")


def source_digests(recipe: Recipe | FinetuneRecipe) -> dict[str, str]:
    """A digest of the files behind each key of a recipe that names data, a tokenizer, a checkpoint or a teacher's
    outputs; none for a hub name or for a path that does not exist.
    """
    found = data_files(recipe.data)
    for key, given in named_inputs(recipe):
        if key.endswith(("model", "tokenizer")) and "\n" not in given and Path(given).is_dir():
            patterns = (*_OF_A_TOKENIZER, *(_OF_WEIGHTS if key.endswith("model") else ()))
            found[key] = sorted({file for pattern in patterns for file in Path(given).glob(pattern)})
    return digests_of(found) | outputs_digest(recipe)


def outputs_digest(recipe: Recipe | FinetuneRecipe) -> dict[str, str]:
    """A digest of the description of the teacher's precomputed outputs, by their key; empty if the recipe names none.

    Further rows, which other students of the recipe need, do not change it.
    """
    return {key: sha256(json.dumps(each).encode()).hexdigest() for key, each in outputs_of(recipe).items()}


def outputs_of(recipe: Recipe | FinetuneRecipe) -> dict[str, dict[str, Any]]:
    """The description of the teacher's precomputed outputs, by their key; empty if the recipe names none."""
    described = {key: described_outputs(Path(given)) for key, given in named_inputs(recipe) if key == OUTPUTS}
    return {key: each for key, each in described.items() if each is not None}


def data_files(part: DataPart) -> dict[str, list[Path]]:
    """The files of a recipe's data on this machine, by the key that names them."""
    if part.task is not None:
        spec = TASKS.get(part.task)
        local = [local_file(spec, split) for split in spec.splits] if spec is not None else []
        return {_OF_A_TASK: sorted({found[0] for found in local if found is not None})}
    own, local = data_of(part), find_files(str(part.path))
    if isinstance(own, str) or not local or declares_splits(str(part.path)):
        return {"data.path": local}
    found: dict[str, list[Path]] = {}
    try:
        for split in own.known_splits:
            key = f"data.splits.{split}" if isinstance(part.splits.get(split), str) else "data.path"
            # All files of the split; a part has none of its own, but those of the split that it is drawn from.
            found[key] = sorted({*found.get(key, []), *own.files_read(split)})
    except ValueError:  # the reader of the rows reports this fault
        return {"data.path": local}
    return found


def digests_of(files: Mapping[str, list[Path]]) -> dict[str, str]:
    """One digest of the files of each key that has some."""
    return {key: files_digest_once(paths) for key, paths in files.items() if paths}


def changed_sources(folder: RunFolder, recipe: Recipe | FinetuneRecipe) -> list[str]:
    """The keys of the recipe whose files have changed since the run was made; empty if the run has no record.

    Files that the same name stands for only now are such a change: the run was made from the hub. So are files of a
    named task that are gone, since its rows would now come from the hub; other files that are gone can only be missed.

    Raises:
        ValueError: The record, or a file that the recipe names, cannot be read.
    """
    with record_readable(folder):
        record = read_record(folder)
        before = dict(record.get(SOURCES, {}))
    now = source_digests(recipe) if SOURCES in record else {}
    new = _same_names(record, recipe) & (now.keys() - before.keys())
    gone = {_OF_A_TASK} & (before.keys() - now.keys())
    changed = [key for key in (*now, *gone) if before.get(key) != now.get(key) and key in {*before, *new}]
    return changed + (["alignment"] if isinstance(recipe, Recipe) and _is_realigned(folder, recipe) else [])


def _same_names(record: Mapping[str, Any], recipe: Recipe | FinetuneRecipe) -> set[str]:
    """The keys that name the same in a recipe and in the one of a run's record."""
    as_made = recipe
    with suppress(ValueError):  # a recipe of another version; what has changed in it is found elsewhere
        as_made = type(recipe).parse(record[RECIPE]) if RECIPE in record else recipe
    return {_OF_A_TASK} | {key for key, _ in {*named_inputs(recipe)} & {*named_inputs(as_made)}}


def read_record(folder: RunFolder) -> dict[str, Any]:
    """The record of a run's recipe, data and files; empty if it has none.

    Raises:
        ValueError: The record cannot be read.
    """
    with record_readable(folder):
        return dict(json.loads(folder.data.read_text(encoding="utf-8"))) if folder.data.is_file() else {}


def record_readable(folder: RunFolder) -> AbstractContextManager[None]:
    """Turns errors about the contents of a run's record into a ValueError that names the file."""
    return refused(f"{folder.data} cannot be read", "put it back from a copy, or delete it")


def _is_realigned(folder: RunFolder, recipe: Recipe) -> bool:
    """Whether the file of the alignment holds another alignment than the run was made with."""
    given = recipe.alignment
    if not isinstance(given, str) or "\n" in given or not Path(given).is_file() or not folder.alignment.is_file():
        return False
    return Alignment.from_yaml(Path(given)) != Alignment.from_yaml(folder.alignment)
