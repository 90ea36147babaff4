"""What is recognised among the entries of a run's folder: the checkpoints of a training, and the record of a run."""

import json
import re
from pathlib import Path

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_IN_A_RECORD = {"train", "heldout", "recipe"}
"""Keys of a run's data.json; see `causalkd.runs.setup.provenance`."""


def checkpoints_in(work: Path) -> list[Path]:
    """The checkpoints of a training, whole or not, the latest one first; a copy with another name is none."""
    found = [path for path in work.glob("checkpoint-*") if path.is_dir() and _CHECKPOINT.fullmatch(path.name)]
    return sorted(found, key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def is_record(file: Path) -> bool:
    """Whether a file is a run's record of what it is made with, and not a file of the user's with the same name."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() >= _IN_A_RECORD
