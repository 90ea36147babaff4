"""What a call that ended well must have read: nothing given is dropped, made up or taken for something else."""

import csv
import io
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from causalkd.alignment.spec import Alignment
from causalkd.errors import read_yaml
from causalkd.recipe.recipe import Recipe
from tests.mutations.mutate import Damage

_ROWS = re.compile(r": (\d+) rows; splits")
_FLAGGED = "A recipe cannot use these rows as they are"


def lost(given: Any, kept: Any, place: str = "it") -> str | None:
    """Where a value that was given differs from what was kept of it; None where all of it was kept."""
    if isinstance(given, dict) and isinstance(kept, dict):
        pairs = [(f"{place}.{key}", value, kept.get(key, "nothing")) for key, value in given.items()]
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        pairs = [(f"{place}[{number}]", *pair) for number, pair in enumerate(zip(given, kept, strict=True))]
    else:
        return None if _same(given, kept) else f"{place} was {given!r} and is read as {kept!r}"
    return next((fault for name, *pair in pairs if (fault := lost(*pair, name))), None)


def _same(given: Any, kept: Any) -> bool:
    if isinstance(given, bool) or isinstance(kept, bool):
        return given is kept
    if isinstance(given, str) and isinstance(kept, str):
        return os.path.expanduser(given) == kept
    return given == kept


def of_recipe(path: Path, told: str) -> str | None:
    """What is wrong with a recipe that was planned."""
    return lost(read_yaml(path), Recipe.load(path).model_dump(mode="json"))


def of_alignment(path: Path, told: str) -> str | None:
    """What is wrong with an alignment that was resolved."""
    return lost(read_yaml(path), Alignment.from_yaml(path).model_dump(mode="json"))


def of_data(path: Path, told: str) -> str | None:
    """What is wrong with a file whose preview says no fault: rows that are not in the file, or of other lengths."""
    if _FLAGGED in told:
        return None
    found, text = _ROWS.search(told), path.read_text(encoding="utf-8-sig")
    expected = _count(path.suffix, text)
    if found is None or expected is None or int(found[1]) == expected:
        return None
    return f"{expected} rows are read as {found[1]}"


def _count(ending: str, text: str) -> int | None:
    """The number of rows in a text; -1 where they are of several lengths, None where it is not known."""
    if ending in (".csv", ".tsv"):
        separator = "," if ending == ".csv" else "\t"
        header, *rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row]
        return -1 if any(len(row) != len(header) for row in rows) else len(rows)
    if ending == ".json" and text.lstrip().startswith("["):
        return len(json.loads(text, strict=False))
    if ending in (".json", ".jsonl"):  # an object a line
        return sum(1 for line in text.split("\n") if line.strip())
    return 1 if ending == ".txt" else None


def of_models(needed: Iterable[str], damage: Damage) -> str | None:
    """What is wrong with a call that needed some files of which one was damaged and ended well."""
    wanted = any(damage.path.match(pattern) for pattern in needed)
    return f"{damage.path} was {damage.how} and nothing was said" if wanted and damage.changed else None
