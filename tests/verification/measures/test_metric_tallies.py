"""Metrics as sums by row."""

import numpy as np
import pytest

from causalkd.verification.measures.metric_tallies import RATIOS
from causalkd.verification.measures.metrics import METRICS
from tests.verification.measures.test_metric_certainty import drawn


@pytest.mark.parametrize("metric", RATIOS)
def test_sums_by_row_are_the_metric(metric: str) -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        answers, ratio = drawn(random, metric, int(random.integers(2, 30))), RATIOS[metric]
        above, below = ratio.above(answers), ratio.below(answers)
        assert not ratio.is_bounded or (above <= below).all()
        expected = ratio.finish(float(above.sum() / below.sum())) if below.any() else 0.0
        assert METRICS[metric][1](answers) == pytest.approx(expected, rel=1e-12)
