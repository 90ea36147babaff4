"""How certain a share is: the percentile bootstrap over pairs, every cell of a grid on the same resamples.

A share is matches / counts, each summed over pairs. Where a pair holds one prediction this is a plain mean; where it
holds several (tokens), the pair stays the unit that is drawn, because predictions within a pair depend on each other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

ROUNDS = 1000
LEVEL = 0.95
_BLOCK = 50  # resamples held in memory at once

Tallies = Float[np.ndarray, "cells pairs"]


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; it has no width where every resample gives one value (all pairs right, or all wrong)."""

    low: float
    high: float


def shares(matches: Tallies, counts: Tallies) -> list[float | None]:
    """The share of each cell; None where it counts nothing."""
    totals = counts.sum(1)
    return [float(m / n) if n > 0 else None for m, n in zip(matches.sum(1), totals, strict=True)]


def intervals(matches: Tallies, counts: Tallies, seed: int, rounds: int = ROUNDS) -> list[Interval | None]:
    """The interval of each cell's share; None where the cell counts nothing.

    Resamples that hold no counted pair of a cell are left out of that cell's interval.
    """
    return _percentiles(_resampled(matches, counts, seed, rounds))


def difference_interval(
    matches: Float[np.ndarray, "pairs"],
    reference: Float[np.ndarray, "pairs"],
    counts: Float[np.ndarray, "pairs"],
    seed: int,
    rounds: int = ROUNDS,
) -> Interval | None:
    """The interval of the difference of two shares over the same pairs, which are drawn together."""
    drawn = _resampled(np.stack([matches, reference]), np.stack([counts, counts]), seed, rounds)
    return _percentiles(drawn[:, :1] - drawn[:, 1:])[0]


def _resampled(matches: Tallies, counts: Tallies, seed: int, rounds: int) -> Float[np.ndarray, "rounds cells"]:
    """The shares in each resample; NaN where a resample counts nothing."""
    blocks = []
    for times in _draws(matches.shape[1], seed, rounds):
        found, total = times @ matches.T, times @ counts.T
        blocks.append(np.divide(found, total, out=np.full_like(found, np.nan), where=total > 0))
    return np.concatenate(blocks)


def _draws(pairs: int, seed: int, rounds: int) -> Iterator[Float[np.ndarray, "block pairs"]]:
    """How many times each pair is drawn, in blocks of resamples."""
    generator = np.random.default_rng(seed)
    for start in range(0, rounds, _BLOCK):
        drawn = generator.integers(0, pairs, (min(_BLOCK, rounds - start), pairs))
        drawn += np.arange(len(drawn))[:, None] * pairs
        yield np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)


def _percentiles(drawn: Float[np.ndarray, "rounds cells"]) -> list[Interval | None]:
    tails = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    found: list[Interval | None] = []
    for cell in drawn.T:
        cell = cell[~np.isnan(cell)]
        found.append(Interval(*map(float, np.percentile(cell, tails))) if len(cell) else None)
    return found
