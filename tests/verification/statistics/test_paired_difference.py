import numpy as np
import pytest
from scipy.stats import ttest_rel

from causalkd.verification.statistics.paired_difference import interval_visible, paired_difference, upper_sd


def test_it_is_the_paired_t_test() -> None:
    values, reference = [0.71, 0.73, 0.70, 0.78], [0.70, 0.69, 0.66, 0.70]
    found, expected = paired_difference(values, reference), ttest_rel(values, reference)
    assert found is not None and found.seeds == 4
    assert found.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.mean == pytest.approx(np.mean(values) - np.mean(reference))


@pytest.mark.seconds
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_a_visible_difference_is_found_four_times_in_five(seeds: int) -> None:
    generator = np.random.default_rng(seeds)
    spread = np.array([-1.0, 1.0] * 5)[:seeds]  # any differences with a known spread give the unit
    unit = paired_difference(spread.tolist(), [0.0] * seeds)
    assert unit is not None and unit.visible is not None and unit.sd is not None
    drawn = generator.normal(unit.visible / unit.sd, 1.0, (4000, seeds))
    outcomes = [paired_difference(row.tolist(), [0.0] * seeds) for row in drawn]
    found = np.mean([each.p_value < 0.05 for each in outcomes])  # type: ignore[union-attr, operator]
    assert found == pytest.approx(0.8, abs=0.025)


def test_one_seed_says_how_much_and_not_how_surely() -> None:
    found = paired_difference([0.5], [0.25])
    assert found is not None and found.mean == 0.25
    assert (found.sd, found.low, found.p_value, found.visible) == (None, None, None, None)
    assert paired_difference([], []) is None


def test_equal_differences_say_nothing_of_how_far_others_would_lie_apart() -> None:
    found = paired_difference([1.0, 2.0], [0.5, 1.5])
    assert found is not None and (found.mean, found.sd) == (0.5, 0.0)
    assert (found.low, found.high, found.p_value, found.visible) == (None, None, None, None)


def test_a_difference_that_is_not_finite_leaves_none_to_be_measured() -> None:
    assert paired_difference([0.5, float("-inf")], [0.5, 0.5]) is None


def test_differences_that_are_equal_but_for_rounding_have_no_p_either() -> None:
    """One more of 40 rows is right in every seed: no spread is no proof."""
    reference = [29 / 40, 31 / 40, 36 / 40]
    found = paired_difference([value + 1 / 40 for value in reference], reference)
    assert found is not None and found.sd == 0 and found.p_value is None and found.mean == pytest.approx(1 / 40)


@pytest.mark.seconds
@pytest.mark.parametrize("number", [2, 3, 8])
def test_the_upper_spread_is_exceeded_once_in_five(number: int) -> None:
    drawn = np.random.default_rng(number).normal(0.0, 1.0, (20000, number)).std(axis=1, ddof=1)
    exceeded = np.mean([upper_sd(float(each), number) < 1.0 for each in drawn])
    assert exceeded == pytest.approx(0.2, abs=0.01)


def test_what_shows_over_many_units_is_read_from_their_interval() -> None:
    assert interval_visible([]) is None
    generator = np.random.default_rng(0)
    drawn = generator.normal(0.0, 1.0, (2000, 400))
    width = 2 * 1.959964 / np.sqrt(400)
    visible = interval_visible([width, width])
    assert visible is not None
    errors = drawn.std(axis=1, ddof=1) / np.sqrt(400)
    found = np.mean(np.abs(drawn.mean(axis=1) + visible) > 1.966 * errors)
    assert found == pytest.approx(0.8, abs=0.03)
