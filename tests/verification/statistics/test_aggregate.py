import pytest

from causalkd.verification.statistics.aggregate import mean, sd


def test_a_mean_of_nothing_is_none():
    assert sd([1.0, None]) is None and sd([1.0, 2.0, None]) == pytest.approx(0.5**0.5)
    assert mean([None, None]) is None
    assert mean([None, 1.0, 0.0]) == 0.5
