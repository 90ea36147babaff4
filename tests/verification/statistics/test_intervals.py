import itertools

import numpy as np
import pytest
from scipy import stats

from causalkd.verification.statistics.intervals import Interval, difference_interval, intervals, shares

DRAWS = 1000


def _covered(matches, counts, truth):
    found = intervals(matches, counts)
    return np.mean([interval.low <= truth <= interval.high for interval in found])


def test_shares_are_totals_over_totals():
    matches = np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    counts = np.array([[1.0, 4.0, 3.0], [0.0, 0.0, 0.0]])
    assert shares(matches, counts) == [3 / 8, None]


@pytest.mark.parametrize("right", [0, 1, 7, 23, 24])
def test_one_prediction_a_pair_gives_wilson_s_interval(right):
    matches = (np.arange(24) < right).astype(float)
    (found,) = intervals(matches[None], np.ones((1, 24)))
    expected = stats.binomtest(right, 24).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("pairs", "truth"), [(50, 0.5), (100, 0.3), (100, 0.95), (300, 0.02), (300, 0.7), (1000, 0.99)]
)
def test_intervals_cover_the_true_share_as_often_as_they_say(pairs, truth):
    sets = (np.random.default_rng(pairs).random((DRAWS, pairs)) < truth).astype(float)
    assert 0.93 <= _covered(sets, np.ones_like(sets), truth) <= 0.97


@pytest.mark.seconds
@pytest.mark.parametrize("pairs", [20, 40, 130, 700])
def test_they_cover_exactly_as_often_as_the_docstring_says(pairs):
    """No draws: every number of matches, weighed by its probability."""
    right = np.arange(pairs + 1)
    found = intervals((np.arange(pairs) < right[:, None]).astype(float), np.ones((pairs + 1, pairs)))
    low, high = (np.array([getattr(each, end) for each in found]) for end in ("low", "high"))
    truths = np.arange(0.005, 1, 0.005)
    inside = (low <= truths[:, None]) & (truths[:, None] <= high)
    covered = (stats.binom.pmf(right, pairs, truths[:, None]) * inside).sum(1)
    rarer = pairs * np.minimum(truths, 1 - truths)
    many, some = covered[rarer >= 10], covered[(rarer >= 2) & (rarer < 10)]
    assert len(many) and many.min() >= 0.933 and many.max() <= 0.969
    assert some.min() >= 0.915 and some.max() <= 0.985
    assert 0.945 <= covered[rarer >= 2].mean() <= 0.955


@pytest.mark.seconds
def test_they_cover_where_tokens_of_a_pair_depend_on_each_other():
    random = np.random.default_rng(0)
    counts = random.integers(1, 9, (DRAWS, 200)).astype(float)
    matches = random.binomial(counts.astype(int), random.beta(1.4, 0.6, counts.shape)).astype(float)
    assert 0.93 <= _covered(matches, counts, 0.7) <= 0.97


def test_interval_of_many_pairs_agrees_with_the_bootstrap():
    random = np.random.default_rng(0)
    counts = random.integers(1, 6, 300).astype(float)
    matches = np.minimum(random.integers(0, 6, 300), counts).astype(float)
    (found,) = intervals(matches[None], counts[None])
    expected = stats.bootstrap(
        (matches, counts),
        lambda m, c, axis: m.sum(axis) / c.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=4000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.006)


def test_the_pair_is_the_unit_not_its_tokens():
    for right in ((np.random.default_rng(5).random(100) < 0.5).astype(float), np.ones(100)):
        tokens = np.full(100, 20.0)  # all tokens of a pair are right, or none is
        (by_pair,) = intervals(right[None] * tokens, tokens[None])
        (single,) = intervals(right[None], np.ones((1, 100)))
        assert (by_pair.low, by_pair.high) == pytest.approx((single.low, single.high))


def test_all_right_is_not_certain_and_nothing_counted_has_no_interval():
    ones, none = np.ones((1, 8)), np.zeros((1, 8))
    (found,) = intervals(ones, ones)
    assert found.high == 1.0 and found.low == pytest.approx(8 / (8 + stats.norm.ppf(0.975) ** 2))
    assert intervals(0 * ones, ones)[0].low == 0.0
    assert intervals(none, none) == [None]
    assert difference_interval(np.zeros(8), np.zeros(8), np.zeros(8)) is None


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("better", "worse", "alike"), [(0.9, 0.7, 0.5), (0.5, 0.5, 0.0), (0.98, 0.5, 0.3), (0.3, 0.4, 0.8)]
)
def test_differences_cover_the_true_difference(better, worse, alike):
    random = np.random.default_rng(7)
    latent = random.standard_normal((2, DRAWS, 150))
    latent[1] = alike * latent[0] + np.sqrt(1 - alike**2) * latent[1]
    first, second = ((latent[i] < stats.norm.ppf(p)).astype(float) for i, p in enumerate((better, worse)))
    found = [difference_interval(a, b, np.ones(150)) for a, b in zip(first, second, strict=True)]
    assert 0.93 <= np.mean([each.low <= better - worse <= each.high for each in found]) <= 0.97


def test_paired_difference_of_equals_is_zero_and_of_alike_is_narrow():
    random = np.random.default_rng(6)
    reference = (random.random(400) < 0.5).astype(float)
    better = reference.copy()
    better[np.flatnonzero(reference == 0)[:20]] = 1
    ones = np.ones(400)
    same = difference_interval(reference, reference, ones)
    assert same.low == pytest.approx(-same.high) and same.low <= 0 <= same.high < 0.01
    found = difference_interval(better, reference, ones)
    apart: list[Interval] = intervals(np.stack([better, reference]), np.stack([ones, ones]))
    assert 0 < found.low < 0.05 < found.high
    assert found.high - found.low < (apart[0].high - apart[0].low) / 2


def _tables(pairs):
    """Every count of pairs that both get right, the first alone, the second alone, and neither."""
    return np.array(
        [
            (a, b, c, pairs - a - b - c)
            for a in range(pairs + 1)
            for b in range(pairs + 1 - a)
            for c in range(pairs + 1 - a - b)
        ]
    )


def _of_table(table, weight=1.0):
    first, second = np.repeat([1.0, 1.0, 0.0, 0.0], table), np.repeat([1.0, 0.0, 1.0, 0.0], table)
    return difference_interval(weight * first, weight * second, np.full(len(first), weight))


@pytest.mark.seconds
def test_differences_of_few_pairs_cover_exactly_as_often_as_the_docstring_says():
    """No draws: every table of 21 pairs, weighed by its probability."""
    tables = _tables(21)
    low, high = np.array([(each.low, each.high) for each in map(_of_table, tables)]).T
    shares_right = np.arange(5 / 21, 16 / 21, 0.05)
    covered = []
    for first, second, alike in itertools.product(shares_right, shares_right, (0.0, 0.3, 0.6, 0.9)):
        both = first * second + alike * np.sqrt(first * (1 - first) * second * (1 - second))
        chances = np.array([both, first - both, second - both, 1 - first - second + both])
        if chances.min() >= 0:
            inside = (low <= first - second + 1e-12) & (first - second - 1e-12 <= high)
            covered.append((stats.multinomial.pmf(tables, 21, chances / chances.sum()) * inside).sum())
    assert len(covered) > 300 and min(covered) >= 0.942 and 0.95 <= np.mean(covered) <= 0.965


@pytest.mark.parametrize("table", [(36, 12, 2, 0), (9, 5, 1, 6), (4, 6, 7, 4), (20, 0, 0, 1)])
def test_differences_are_newcombe_s_tenth_method(table):
    a, b, c, d = table
    n = sum(table)
    ends = [stats.binomtest(k, n).proportion_ci(method="wilson") for k in (a + b, a + c)]
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    cross = a * d - b * c
    cross = cross if cross <= 0 else max(cross - n / 2, 0)
    phi = cross / np.sqrt(margins) if margins else 0.0
    (p, q), difference = ((a + b) / n, (a + c) / n), (b - c) / n
    squares = ((p - ends[0].low, ends[1].high - q), (ends[0].high - p, q - ends[1].low))
    below, above = (np.sqrt(x**2 - 2 * phi * x * y + y**2) for x, y in squares)
    for weight in (1.0, 3.0):  # the unit is the pair, not its tokens
        found = _of_table(table, weight)
        assert (found.low, found.high) == pytest.approx((difference - below, difference + above))


@pytest.mark.parametrize("pairs", [1, 2, 5])
@pytest.mark.parametrize("counts", [3, 7, 49, 107])
def test_pairs_of_one_share_each_are_as_uncertain_as_pairs_that_are_all_right_or_all_wrong(pairs, counts):
    """1/49 of 49 is not exactly 1 in floating point, and a spread of almost nothing would be certainty."""
    (found,) = intervals(np.ones((1, pairs)), np.full((1, pairs), float(counts)))
    share = stats.norm.ppf(0.975) ** 2 / pairs  # z² over the number of independent predictions
    half = np.sqrt(share * (1 - 1 / counts) / counts + share**2 / 4) / (1 + share)
    assert (found.high - found.low) / 2 == pytest.approx(half)


def _pairs_of_few_rows(random, rows, pairs):
    """Numbers of the base and of the source of some different pairs, every row being base equally often."""
    base = np.tile(random.permutation(rows), -(-pairs // rows))[:pairs]
    source = (base + 1 + (random.integers(rows - 1, size=rows)[base] + np.arange(pairs) // rows) % (rows - 1)) % rows
    return base, source


def _of_rows(random, base, source, rows, shift=0.0):
    """Right or wrong, as the base, the source and the pair itself make it; the true share is Φ(shift / √3)."""
    return (random.standard_normal(rows)[base] + random.standard_normal(rows)[source] + shift
            + random.standard_normal(len(base)) > 0).astype(float)  # fmt: skip


@pytest.mark.seconds
@pytest.mark.parametrize(("rows", "pairs"), [(20, 200), (40, 200), (100, 2000), (300, 300)])
def test_they_cover_where_pairs_share_their_rows(rows, pairs):
    random, held, alone = np.random.default_rng(rows), [], []
    truth = stats.norm.cdf(0.8 / np.sqrt(3))
    for _ in range(400):
        shared = _pairs_of_few_rows(random, rows, pairs)
        right, ones = _of_rows(random, *shared, rows, 0.8)[None], np.ones((1, pairs))
        for found, given in ((held, shared), (alone, ())):
            (interval,) = intervals(right, ones, given)
            found.append(interval.low <= truth <= interval.high)
    assert 0.91 <= np.mean(held) <= 0.99
    assert rows == pairs or np.mean(alone) < 0.85


@pytest.mark.seconds
@pytest.mark.parametrize(("rows", "pairs"), [(30, 200), (100, 1000)])
def test_differences_cover_where_pairs_share_their_rows(rows, pairs):
    random, held, alone = np.random.default_rng(rows), [], []
    for _ in range(400):
        shared = _pairs_of_few_rows(random, rows, pairs)
        first, second = (_of_rows(random, *shared, rows) for _ in range(2))
        for found, given in ((held, shared), (alone, ())):
            interval = difference_interval(first, second, np.ones(pairs), given)
            found.append(interval.low <= 0 <= interval.high)
    assert 0.93 <= np.mean(held) <= 0.995 and np.mean(alone) < 0.85


def test_pairs_that_share_nothing_are_independent_and_those_of_one_row_are_one():
    random = np.random.default_rng(3)
    right, other, ones = (random.random((2, 60)) < 0.7).astype(float)[:1], np.zeros(60), np.ones((1, 60))
    each = np.arange(60)
    assert intervals(right, ones, (each, each[::-1].copy())) == intervals(right, ones)
    assert difference_interval(right[0], other, ones[0], (each,)) == difference_interval(right[0], other, ones[0])
    (whole,) = intervals(ones, ones, (each // 10,))
    assert whole == intervals(np.ones((1, 6)), np.ones((1, 6)))[0], "six rows were right, not sixty"


def test_no_share_has_a_higher_lower_limit_than_one_and_no_lower_upper_limit_than_zero():
    """199 of 200 pairs right had .972, and 200 of 200 .839: nothing told how far pairs of a row are alike."""
    row, ones = np.arange(200) // 10, np.ones((200, 200))
    right = (np.arange(200) < np.arange(1, 201)[:, None]).astype(float)  # 1, 2, …, 200 of 200
    for some in (right, np.random.default_rng(2).permuted(right, axis=1)):
        found = intervals(some, ones, (row,))
        low, high = np.array([(each.low, each.high) for each in found]).T
        assert (low <= low[-1]).all() and high[-1] == 1
        other = intervals(1 - some, ones, (row,))
        assert [each.low for each in other] == pytest.approx(1 - high)
        assert [each.high for each in other] == pytest.approx(1 - low)


@pytest.mark.seconds
def test_they_cover_shares_near_one_where_pairs_share_their_rows():
    random, held, truth = np.random.default_rng(9), [], 0.99
    for _ in range(300):
        shared = _pairs_of_few_rows(random, 100, 2000)
        right = _of_rows(random, *shared, 100, np.sqrt(3) * stats.norm.ppf(truth))[None]
        (found,) = intervals(right, np.ones((1, 2000)), shared)
        held.append(found.low <= truth <= found.high)
    assert 0.94 <= np.mean(held) <= 0.995


def test_a_perfect_student_is_told_from_others_as_surely_as_a_nearly_perfect_one():
    """Where one share is 1, the other tells how far the pairs of a row depend on each other."""
    random = np.random.default_rng(4)
    shared = _pairs_of_few_rows(random, 100, 2000)
    other = (random.random(2000) < 0.97).astype(float)
    perfect, nearly, ones = np.ones(2000), (np.arange(2000) != 7).astype(float), np.ones(2000)
    best, next_best = (difference_interval(each, other, ones, shared) for each in (perfect, nearly))
    assert best.low > next_best.low > 0.01 and best.high > next_best.high
    below = difference_interval(other, perfect, ones, shared)
    assert (below.low, below.high) == pytest.approx((-best.high, -best.low))
