"""The record of a run, and how it differs from a user's file with the same name."""

import json
from pathlib import Path

_IN_A_RECORD = {"train", "heldout", "recipe"}
"""Keys of a run's data.json; see `causalkd.runs.setup.provenance`."""


def is_record(file: Path) -> bool:
    """Whether a file is a run's record of what it is made with, and not a file of the user's with the same name."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() >= _IN_A_RECORD
