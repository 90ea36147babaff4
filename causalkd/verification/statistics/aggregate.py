"""Means and standard deviations that leave out missing values."""

from collections.abc import Iterable
from statistics import stdev


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of the values that are not None."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def sd(values: Iterable[float | None]) -> float | None:
    """The standard deviation (n - 1) of the values that are not None; None for fewer than two."""
    known = [value for value in values if value is not None]
    return stdev(known) if len(known) > 1 else None
