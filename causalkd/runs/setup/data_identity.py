"""The data that a run was made with: origin, rows and digest of both splits, kept in the run and compared later."""

import hashlib
import json
from typing import Any

from causalkd.data.tasks.loading import Examples
from causalkd.files.whole_files import write_whole
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.setup.data import Data

SPLITS = ("train", "heldout")


def identity(data: Data) -> dict[str, dict[str, Any]]:
    """Origin, rows and digest of the tokens of each split; another tokenizer makes other data."""
    return {name: _of(split) for name, split in zip(SPLITS, (data.train, data.heldout), strict=True)}


def write_identity(folder: RunFolder, data: Data) -> None:
    """Record in the run which data it is made with."""
    write_whole(folder.data, json.dumps(identity(data), indent=1, ensure_ascii=False))


def changed_data(folder: RunFolder, data: Data) -> dict[str, str]:
    """How the data of each split differ from those of the run, in words; empty where the run has no record.

    Raises:
        ValueError: The run's record of its data cannot be read.
    """
    if not folder.data.is_file():
        return {}
    try:
        before = json.loads(folder.data.read_text(encoding="utf-8"))
        kept = {name: (before[name]["rows"], before[name]["sha256"], before[name]["origin"]) for name in SPLITS}
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{folder.data} cannot be read; put it back from a copy, or delete it") from None
    now = identity(data)
    return {
        name: f"{name}: the run was made with {rows} rows of {origin} (sha256 {digest[:12]}), and there are now "
        f"{now[name]['rows']} rows of {now[name]['origin']} (sha256 {now[name]['sha256'][:12]})"
        for name, (rows, digest, origin) in kept.items()
        if (rows, digest) != (now[name]["rows"], now[name]["sha256"])
    }


def _of(split: Examples) -> dict[str, Any]:
    digest = hashlib.sha256(json.dumps([split.kind, split.labels]).encode())
    for example in split.examples:
        digest.update(json.dumps(example, sort_keys=True).encode() + b"\n")
    return {"origin": split.origin, "rows": len(split.examples), "sha256": digest.hexdigest()}
