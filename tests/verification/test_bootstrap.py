import numpy as np
import pytest
from scipy import stats

from causalkd.verification.bootstrap import Interval, difference_interval, intervals, shares


def test_shares_are_totals_over_totals():
    matches = np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    counts = np.array([[1.0, 4.0, 3.0], [0.0, 0.0, 0.0]])
    assert shares(matches, counts) == [3 / 8, None]


def test_interval_agrees_with_scipy():
    random = np.random.default_rng(0)
    counts = random.integers(1, 6, 300).astype(float)
    matches = np.minimum(random.integers(0, 6, 300), counts).astype(float)
    (found,) = intervals(matches[None], counts[None], seed=1, rounds=4000)
    expected = stats.bootstrap(
        (matches, counts),
        lambda m, c, axis: m.sum(axis) / c.sum(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.006)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(3)
    sets = (random.random((300, 150)) < 0.7).astype(float)
    found = intervals(sets, np.ones_like(sets), seed=4, rounds=500)
    covered = np.mean([interval is not None and interval.low <= 0.7 <= interval.high for interval in found])
    assert 0.91 <= covered <= 0.98


def test_the_pair_is_the_unit_not_its_tokens():
    random = np.random.default_rng(5)
    right = (random.random(100) < 0.5).astype(float)
    tokens = np.full(100, 20.0)  # all tokens of a pair are right, or none is
    (by_pair,) = intervals(right[None] * tokens, tokens[None], seed=0)
    (single,) = intervals(right[None], np.ones((1, 100)), seed=0)
    assert by_pair == single


def test_all_right_has_no_width_and_nothing_counted_has_no_interval():
    ones, none = np.ones((1, 8)), np.zeros((1, 8))
    assert intervals(ones, ones, seed=0) == [Interval(1.0, 1.0)]
    assert intervals(none, none, seed=0) == [None]
    few = np.array([[1.0, 0, 0, 0, 0, 0, 0, 0]])  # absent from a third of all resamples
    assert intervals(few, few, seed=0) == [Interval(1.0, 1.0)]


def test_resamples_depend_on_the_seed_alone():
    matches = (np.random.default_rng(0).random((2, 60)) < 0.4).astype(float)
    ones = np.ones_like(matches)
    assert intervals(matches, ones, seed=0) == intervals(matches, ones, seed=0)
    assert intervals(matches, ones, seed=0) != intervals(matches, ones, seed=1)
    assert intervals(matches[:1], ones[:1], seed=0) == intervals(matches, ones, seed=0)[:1]


def test_paired_difference_of_equals_is_zero_and_of_alike_is_narrow():
    random = np.random.default_rng(6)
    reference = (random.random(400) < 0.5).astype(float)
    better = reference.copy()
    better[np.flatnonzero(reference == 0)[:20]] = 1
    ones = np.ones(400)
    assert difference_interval(reference, reference, ones, seed=0) == Interval(0.0, 0.0)
    found = difference_interval(better, reference, ones, seed=0)
    apart = intervals(np.stack([better, reference]), np.stack([ones, ones]), seed=0)
    assert found is not None and 0 < found.low < 0.05 < found.high
    assert found.high - found.low < (apart[0].high - apart[0].low) / 2
    assert difference_interval(better, reference, np.zeros(400), seed=0) is None
