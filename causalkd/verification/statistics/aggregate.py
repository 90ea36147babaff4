"""Means and standard deviations of values that may be missing.

A mean over sites leaves out those without a value, and reports count them. A mean over seeds may leave out none: a
training that diverged has no perplexity, and a mean without it would be better than the method is.
"""

from collections.abc import Iterable, Sequence
from statistics import stdev


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of the values that are not None."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def sd(values: Iterable[float | None]) -> float | None:
    """The standard deviation (n - 1) of the values that are not None; None for fewer than two."""
    known = [value for value in values if value is not None]
    return stdev(known) if len(known) > 1 else None


def mean_over_seeds(values: Sequence[float | None]) -> float | None:
    """The mean; None unless every seed has a value."""
    return None if None in values else mean(values)


def sd_over_seeds(values: Sequence[float | None]) -> float | None:
    """The standard deviation (n - 1); None unless every seed has a value, and for fewer than two."""
    return None if None in values else sd(values)
