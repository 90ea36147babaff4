"""What was measured of a run's language models, in one file to which later calls add.

runs/NAME/evaluation.json    one object a measurement, with what it was asked with; null where a number is not finite
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from causalkd.files.refusals import refused
from causalkd.files.whole_files import write_whole

Row = dict[str, Any]

_ASKED = ("model", "texts", "prompts", "harness", "limit", "max_tokens", "shots", "chat_template")
"""The keys of a row that say of which model it is, what was measured, and how; all others are results."""


def read_rows(file: Path) -> list[Row]:
    """The rows of earlier calls; those of earlier versions, which do not say how they were measured, are left out.

    Raises:
        ValueError: The file is damaged.
    """
    if not file.is_file():
        return []
    with refused(f"{file} is damaged", "delete it"):
        found = [dict(row) for row in json.loads(file.read_text(encoding="utf-8"))]
    return [row for row in found if "limit" in row]


def of_these_models(rows: Sequence[Row], weights: Mapping[str, str]) -> list[Row]:
    """The rows without those of a model that has been trained anew; of rows without `weights`, nothing is known.

    Args:
        rows: Some rows.
        weights: A digest of each model as it is now.
    """
    return [row for row in rows if row.get("weights") in (None, weights.get(row["model"]))]


def merged(known: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """The known rows without those that were measured anew in the same way, and the new ones."""
    asked = [_asked(row) for row in new]
    return [*(row for row in known if _asked(row) not in asked), *new]


def write_rows(file: Path, rows: Sequence[Row]) -> None:
    """Writes all rows."""
    stored = [{key: _finite(value) for key, value in row.items()} for row in rows]
    write_whole(file, json.dumps(stored, indent=1, allow_nan=False) + "\n")


def _asked(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(key) for key in _ASKED)


def _finite(value: Any) -> Any:
    """The value, or None where JSON has no such number."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
