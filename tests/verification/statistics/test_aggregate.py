import pytest

from causalkd.verification.statistics.aggregate import mean, mean_over_seeds, sd, sd_over_seeds


def test_a_mean_of_nothing_is_none():
    assert sd([1.0, None]) is None and sd([1.0, 2.0, None]) == pytest.approx(0.5**0.5)
    assert mean([None, None]) is None
    assert mean([None, 1.0, 0.0]) == 0.5


def test_a_seed_without_a_value_leaves_no_mean_over_seeds():
    assert mean_over_seeds([0.5, None]) is None and sd_over_seeds([0.5, None, 0.7]) is None
    assert mean_over_seeds([0.5, 0.7]) == mean([0.5, 0.7]) and sd_over_seeds([0.5, 0.7]) == sd([0.5, 0.7])
    assert mean_over_seeds([]) is None and sd_over_seeds([0.5]) is None
