import dataclasses

import pytest

from causalkd.verification.statistics.evidence import is_above, is_beyond_chance
from tests.example_report import example_report

ROW = dataclasses.replace(example_report(seeds=1).interchange[0], iia_effective=0.8, iia_effective_low=0.7)


def _baseline(iia_effective, q_value):
    return dataclasses.replace(ROW, baseline="majority_class", iia_effective=iia_effective, q_value=q_value)


@pytest.mark.parametrize(
    ("baselines", "above"),
    [
        ([(0.5, 0.001), (0.3, 0.001)], True),
        ([(0.5, 0.001), (0.78, 0.4)], False),  # less, but that may be chance
        ([(0.9, 0.001)], False),  # different, but better
        ([(0.5, 0.05)], False),
        ([(None, 0.001)], False),
        ([(0.69, None)], True),  # without a test, the interval decides
        ([(0.71, None)], False),
        ([], True),
    ],
)
def test_a_measurement_is_above_where_every_baseline_is_exceeded_by_more_than_chance(baselines, above):
    assert is_above(ROW, [_baseline(*each) for each in baselines]) is above


def test_an_unknown_accuracy_or_interval_is_above_nothing():
    low = _baseline(0.1, 0.001)
    assert not is_above(dataclasses.replace(ROW, iia_effective=None), [low])
    untested = dataclasses.replace(low, q_value=None)
    assert not is_above(dataclasses.replace(ROW, iia_effective_low=None), [untested])


@pytest.mark.parametrize(
    ("low", "high", "q", "comparisons", "beyond"),
    [
        (0.01, 0.2, 0.04, 1, True),
        (-0.2, -0.01, 0.04, 1, True),
        (-0.01, 0.2, 0.04, 1, False),  # the test tells a difference, the interval does not
        (0.01, 0.2, 0.06, 1, False),
        (0.01, 0.2, 0.04, 2, False),
        (0.01, 0.2, None, 1, False),
    ],
)
def test_a_difference_is_beyond_chance_where_test_and_interval_say_so(low, high, q, comparisons, beyond):
    row = dataclasses.replace(example_report(seeds=1).differences[0], low=low, high=high, q_value=q)
    assert is_beyond_chance(row, comparisons) is beyond
