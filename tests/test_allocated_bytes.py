"""What a step of a masked language model allocates: a guard on bytes, which no machine changes."""

from collections.abc import Callable
from dataclasses import replace

from tests.benchmarks.measure import Step
from tests.benchmarks.setting import SMOKE, Setting
from tests.benchmarks.steps import diito_step, own_kd_step, plain_step
from tests.executed import Allocated, allocated

# One tensor of logits outweighs everything else, and is many chunks.
SETTING = replace(SMOKE, vocabulary=8000, rows=8, tokens=64, dropout=0.0)
LOGITS = SETTING.rows * SETTING.tokens * SETTING.vocabulary * 4


def _taken(step_of: Callable[[Setting], Step]) -> Allocated:
    step = step_of(SETTING)
    step()
    return allocated(step)


def test_every_tensor_of_logits_is_accounted_for() -> None:
    """Teacher's and student's logits and one gradient, for base and counterfactual; and the task's own gradient."""
    own, diito = _taken(own_kd_step), _taken(diito_step)
    assert own.at_least(LOGITS) == 3 + 1
    assert diito.at_least(LOGITS) == 2 * 3 + 1
    assert diito.peak < 8 * LOGITS
    assert diito.peak <= 1.1 * _taken(plain_step).peak
