from itertools import product

import numpy as np
import pytest
from scipy import stats

from causalkd.verification.statistics.permutation import SMALLEST_P, benjamini_hochberg, paired_permutation_p


def _all_swaps(matches, reference):
    """The mid-p value over every permutation of the two values within pairs."""
    differences = matches - reference
    sums = np.array([np.dot(signs, differences) for signs in product((-1, 1), repeat=len(differences))])
    observed = differences.sum()
    below, above, tied = (np.mean(part) for part in (sums < observed, sums > observed, sums == observed))
    return min(1.0, 2 * (min(below, above) + tied / 2))


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_every_permutation_counted(seed):
    random = np.random.default_rng(seed)
    matches, reference = random.integers(0, 1 + seed, 11).astype(float), random.integers(0, 1 + seed, 11).astype(float)
    assert paired_permutation_p(matches, reference) == pytest.approx(_all_swaps(matches, reference), abs=1e-12)


def test_is_mcnemar_s_exact_test_where_a_pair_holds_one_prediction():
    matches, reference = np.zeros(300), np.zeros(300)
    matches[:40], reference[20:90] = 1, 1  # 20 pairs favour one, 50 the other
    expected = 2 * (stats.binom.cdf(19, 70, 0.5) + stats.binom.pmf(20, 70, 0.5) / 2)
    assert paired_permutation_p(matches, reference) == pytest.approx(expected, rel=1e-9)
    assert paired_permutation_p(reference, matches) == pytest.approx(paired_permutation_p(matches, reference), rel=1e-9)


def test_equal_scores_have_p_one_and_certainty_has_a_floor():
    ones = np.ones(2000)
    assert paired_permutation_p(ones, ones) == 1.0
    assert paired_permutation_p(ones, 0 * ones) == SMALLEST_P


@pytest.mark.seconds
@pytest.mark.parametrize("tokens", [1, 6])
def test_p_values_under_the_null_are_uniform(tokens):
    random = np.random.default_rng(1)
    shared = random.random((1000, 2000, 1)) < 0.3  # the two agree on these, so they are paired indeed
    draws = random.binomial(tokens, 0.5, (1000, 2000, 2)) * ~shared
    found = [paired_permutation_p(*pair.T.astype(float)) for pair in draws]
    assert stats.kstest(found, "uniform").pvalue > 0.05


def test_benjamini_and_hochberg_by_hand():
    # Sorted .01, .02, .03, .5: 4/1 · .01 = .04, 4/2 · .02 = .04, 4/3 · .03 = .04, .5.
    assert benjamini_hochberg([0.03, None, 0.01, 0.5, 0.02]) == [
        pytest.approx(v) if v else None for v in (0.04, None, 0.04, 0.5, 0.04)
    ]
    assert benjamini_hochberg([None]) == [None] and benjamini_hochberg([]) == []


@pytest.mark.seconds
def test_false_discoveries_stay_below_the_level():
    random = np.random.default_rng(2)
    shares = []
    for _ in range(60):
        better = np.repeat([0.5, 0.7], (40, 10))[:, None]
        matches = random.random((50, 150)) < better
        reference = random.random((50, 150)) < 0.5
        q = benjamini_hochberg(
            [paired_permutation_p(a.astype(float), b.astype(float)) for a, b in zip(matches, reference, strict=True)]
        )
        found = np.array(q) <= 0.1
        shares.append(found[:40].sum() / max(found.sum(), 1))
    assert 0.02 < np.mean(shares) < 0.1


def test_equals_are_not_told_apart_because_their_pairs_share_rows():
    random, rows, pairs = np.random.default_rng(4), 40, 400
    base, source = np.arange(pairs) % rows, (np.arange(pairs) % rows + 1 + np.arange(pairs) // rows) % rows
    found = []
    for _ in range(300):
        drawn = random.standard_normal((2, 2, rows))
        noise = random.standard_normal((2, pairs))
        first, second = ((of_base[base] + of_source[source] + own > 0).astype(float)
                         for (of_base, of_source), own in zip(drawn, noise, strict=True))  # fmt: skip
        found.append((paired_permutation_p(first, second), paired_permutation_p(first, second, (base, source))))
    alone, shared = (np.array(found) < 0.05).mean(0)
    assert alone > 0.3 and shared < 0.07


def test_pairs_of_one_row_are_permuted_together():
    matches, reference, base = np.ones(12), np.zeros(12), np.arange(12) // 3
    assert paired_permutation_p(matches, reference, (base,)) == pytest.approx(2 * 0.5**4 / 2)
    assert paired_permutation_p(matches, reference) == pytest.approx(2 * 0.5**12 / 2)
