"""The table of a report's sites, as a notebook shows it."""

from collections.abc import Mapping, Sequence
from typing import Any

from causalkd.files.html_table import html_table
from causalkd.verification.results.baselines import MEASURED, explaining

_SITE = ("student", "seed", "pair", "component", "head", "teacher_layer", "student_layer")
_HEADS = ("student", "seed", "pair", "teacher → student", "effective IIA", "95%", "n", "best baseline")


def site_table(alignment: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The aligned sites of every student, each with its interval and best baseline; all sites if none is aligned.

    Args:
        alignment: The name of the alignment.
        rows: The fields of interchange rows, the measurements and the baselines.
    """
    measured = [row for row in rows if row["baseline"] == MEASURED and row["reachable"]]
    aligned = [row for row in measured if row["aligned"]]
    kind = "aligned sites" if aligned else "all measured sites"
    lines = [_line(row, rows) for row in aligned or measured]
    return html_table(f"{alignment}: effective IIA at {kind}", _HEADS, lines)


def _line(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> tuple[object, ...]:
    """One site with its interval and the best baseline that would explain it."""
    site = [row[name] for name in _SITE]
    baselines = [each for each in rows if each["baseline"] in explaining() and [each[name] for name in _SITE] == site]
    best = max((each["iia_effective"] for each in baselines if each["iia_effective"] is not None), default=None)
    numbers = (row["iia_effective"], row["iia_effective_low"], row["iia_effective_high"], best)
    value, low, high, baseline = ("–" if number is None else f"{number:.3f}" for number in numbers)
    seed, layers = "" if row["seed"] is None else row["seed"], f"{row['teacher_layer']} → {row['student_layer']}"
    return (row["student"], seed, row["pair"], layers, value, f"{low} to {high}", row["effective_pairs"], baseline)
