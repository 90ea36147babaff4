"""Tests of whether a measurement exceeds its baselines, and two students differ, by more than chance."""

from collections.abc import Sequence

from causalkd.verification.results.interchange_rows import DifferenceRow, InterchangeRow
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.statistics.permutation import CHANCE


def is_above(real: InterchangeRow, baselines: Sequence[InterchangeRow]) -> bool:
    """Whether a measurement exceeds every one of its baselines by more than chance."""
    return all(_exceeds(real, baseline) for baseline in baselines)


def is_sure(report: VerificationReport, row: DifferenceRow) -> bool:
    """Whether a difference is beyond chance, adjusted for the sites and for the number of compared students.

    All sentences about a report use this function, so that they agree.
    """
    return is_beyond_chance(row, _comparisons(report))


def adjusted_p(report: VerificationReport, row: DifferenceRow) -> float | None:
    """The p-value of a difference, adjusted for the sites and for the number of compared students; None untested."""
    return None if row.q_value is None else min(row.q_value * _comparisons(report), 1.0)


def is_beyond_chance(row: DifferenceRow, comparisons: int) -> bool:
    """Whether a difference is beyond chance: by its test, adjusted once more for some comparisons, and by its interval.

    The interval and p are computed in different ways, and at the edge only one of them may show a difference.
    """
    surely = row.q_value is not None and row.q_value * comparisons < CHANCE
    return surely and (row.low > 0 or row.high < 0)


def _comparisons(report: VerificationReport) -> int:
    return len({(each.student, each.reference) for each in report.differences if each.student != each.reference})


def _exceeds(real: InterchangeRow, baseline: InterchangeRow) -> bool:
    if real.iia_effective is None or baseline.iia_effective is None:
        return False
    if baseline.q_value is None:  # a report of an earlier version, without tests
        return real.iia_effective_low is not None and real.iia_effective_low > baseline.iia_effective
    return real.iia_effective > baseline.iia_effective and baseline.q_value < CHANCE
