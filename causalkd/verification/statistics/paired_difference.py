"""The difference of two ways of training over shared seeds or rows, and the smallest difference that can be shown.

Seeds, or rows of data, are the unit: each gives one difference, and these are tested against zero by Student's paired
t-test. With the usual few seeds, a permutation test cannot fall below 5 % (2 / 2^n for n seeds), so the t-test's
assumption, that differences over seeds are approximately normal, is accepted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, nct, norm, t

from causalkd.verification.statistics.intervals import LEVEL

POWER = 0.8
"""The probability of finding a true difference of the size called visible."""


@dataclass(frozen=True)
class PairedDifference:
    """The mean difference over shared units; fields that need two units are None for one."""

    seeds: int
    mean: float
    sd: float | None
    """Standard deviation (n - 1) of the differences."""
    low: float | None
    """Lower end of the 95 % interval of the mean."""
    high: float | None
    p_value: float | None
    """Two-sided, of the paired t-test; None if all differences are equal."""
    visible: float | None
    """The smallest true mean difference that the test finds at 5 % with a probability of 80 %, if differences spread
    as these do. With few seeds it is itself a rough estimate."""


def paired_difference(values: Sequence[float], reference: Sequence[float]) -> PairedDifference | None:
    """The difference of two measurements, unit by unit; None without units.

    Args:
        values: One value per seed, or per row.
        reference: The values of the reference, in the same order.
    """
    found = np.asarray(values, dtype=float) - np.asarray(reference, dtype=float)
    number = len(found)
    if not number:
        return None
    mean = float(found.mean())
    if number == 1:
        return PairedDifference(1, mean, None, None, None, None, None)
    # Equal differences of shares may differ in their last bits, which would look like a tiny spread.
    rounding = 8 * np.finfo(float).eps * max(np.abs(values).max(), np.abs(reference).max())
    sd = float(found.std(ddof=1)) if np.ptp(found) > rounding else 0.0
    error = sd / float(np.sqrt(number))
    half = float(t.ppf((1 + LEVEL) / 2, number - 1)) * error
    p_value = None if error == 0 else float(2 * t.sf(abs(mean) / error, number - 1))
    return PairedDifference(number, mean, sd, mean - half, mean + half, p_value, smallest_difference(sd, number))


def smallest_difference(sd: float, number: int) -> float:
    """The smallest true mean difference that the test over `number` units finds at 5 % with a probability of 80 %.

    Args:
        sd: Standard deviation of the units' differences.
        number: The present or planned number of units, at least 2.
    """
    return _effect(number) * sd / float(np.sqrt(number))


def interval_visible(widths: Sequence[float]) -> float | None:
    """The smallest true difference that shows over many units, of which only 95 % intervals are known.

    Args:
        widths: Widths of the intervals of differences, whose mean is used; without any, None is returned.
    """
    if not widths:
        return None
    both = norm.ppf((1 + LEVEL) / 2)
    return float(np.mean(widths) / (2 * both) * (both + norm.ppf(POWER)))


def upper_sd(sd: float, number: int) -> float:
    """The standard deviation that the true one exceeds with a probability of 20 %, if `number` units gave `sd`."""
    return sd * float(np.sqrt((number - 1) / chi2.ppf(1 - POWER, number - 1)))


@cache
def _effect(number: int) -> float:
    """The true mean, in standard errors, at which the test over `number` units has the power `POWER`."""
    freedom = number - 1
    critical = t.ppf((1 + LEVEL) / 2, freedom)
    return float(brentq(lambda effect: nct.sf(critical, freedom, effect) - POWER, 0, 20 * critical))  # type: ignore[arg-type]
