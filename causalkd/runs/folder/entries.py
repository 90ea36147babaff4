"""The checkpoints of a training among the entries of a folder."""

import re
from pathlib import Path

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def checkpoints_in(work: Path) -> list[Path]:
    """The checkpoints of a training, complete or not, the latest first; copies with other names are not included."""
    found = [path for path in work.glob("checkpoint-*") if path.is_dir() and _CHECKPOINT.fullmatch(path.name)]
    return sorted(found, key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])
