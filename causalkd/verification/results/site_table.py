"""The table of a report's sites, as a notebook shows it."""

from collections.abc import Sequence
from operator import attrgetter

from causalkd.alignment.spec import Alignment
from causalkd.files.html_table import html_table
from causalkd.verification.results.baselines import MEASURED, explaining
from causalkd.verification.results.interchange_rows import InterchangeRow
from causalkd.verification.results.site_layers import arrow

_HEADS = ("student", "seed", "pair", "teacher → student", "effective IIA", "95%", "n", "best baseline")
_site = attrgetter("student", "seed", "pair", "component", "head", "teacher_layer", "student_layer")


def site_table(alignment: Alignment, rows: Sequence[InterchangeRow]) -> str:
    """The aligned sites of every student, each with its interval and best baseline; all sites if none is aligned.

    Args:
        alignment: The alignment that declares which sites are aligned.
        rows: The measurements and the baselines.
    """
    measured = [row for row in rows if row.baseline == MEASURED and row.reachable]
    aligned = [row for row in measured if row.aligned]
    kind = "aligned sites" if aligned else "all measured sites"
    lines = [_line(alignment, row, rows) for row in aligned or measured]
    return html_table(f"{alignment.name}: effective IIA at {kind}", _HEADS, lines)


def _line(alignment: Alignment, row: InterchangeRow, rows: Sequence[InterchangeRow]) -> tuple[object, ...]:
    """One site with its interval and the best baseline that would explain it."""
    baselines = [each for each in rows if each.baseline in explaining() and _site(each) == _site(row)]
    best = max((each.iia_effective for each in baselines if each.iia_effective is not None), default=None)
    numbers = (row.iia_effective, row.iia_effective_low, row.iia_effective_high, best)
    value, low, high, baseline = ("–" if number is None else f"{number:.3f}" for number in numbers)
    seed, layers = "" if row.seed is None else row.seed, arrow(alignment, row)
    return (row.student, seed, row.pair, layers, value, f"{low} to {high}", row.effective_pairs, baseline)
