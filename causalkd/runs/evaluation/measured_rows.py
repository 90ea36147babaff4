"""The measurements of a run's language models, in one file to which later calls add.

runs/NAME/evaluation.json    one object per measurement, with its settings; null if a number is not finite
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from causalkd.files.refusals import refused
from causalkd.files.whole_files import write_whole
from causalkd.verification.results.finite import finite_or_none

Row = dict[str, Any]

_SETTINGS = ("model", "texts", "prompts", "harness", "limit", "max_tokens", "shots", "chat_template")
"""The keys of a row for its model, its data and its settings; all others are results."""


def read_rows(file: Path) -> list[Row]:
    """The rows of earlier calls; rows of earlier versions, which lack their settings, are left out.

    Raises:
        ValueError: The file is damaged.
    """
    if not file.is_file():
        return []
    with refused(f"{file} is damaged", "delete it"):
        found = [dict(row) for row in json.loads(file.read_text(encoding="utf-8"))]
    return [row for row in found if "limit" in row]


def merged(known: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """The known rows without those that were measured again with the same settings, followed by the new ones."""
    replaced = [_settings(row) for row in new]
    return [*(row for row in known if _settings(row) not in replaced), *new]


def write_rows(file: Path, rows: Sequence[Row]) -> None:
    """Writes all rows."""
    stored = [{key: finite_or_none(value) for key, value in row.items()} for row in rows]
    write_whole(file, json.dumps(stored, indent=1, allow_nan=False) + "\n")


def _settings(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(key) for key in _SETTINGS)
