"""What a step of a masked language model allocates: a guard on bytes, which no machine changes."""

from collections.abc import Callable
from dataclasses import replace

from tests.benchmarks.measure import Step
from tests.benchmarks.setting import SMOKE, Setting
from tests.benchmarks.steps import diito_step, own_kd_step, plain_step
from tests.executed import Allocated, allocated

# One tensor of logits outweighs everything else, and is four chunks of the pass over the head.
SETTING = replace(SMOKE, vocabulary=32_000, rows=8, tokens=64, dropout=0.0)
LOGITS = SETTING.rows * SETTING.tokens * SETTING.vocabulary * 4


def _taken(step_of: Callable[[Setting], Step]) -> Allocated:
    step = step_of(SETTING)
    step()
    return allocated(step)


def test_no_tensor_of_logits_is_ever_whole() -> None:
    """Neither a model's logits nor a gradient of them, for base and counterfactual; a plain step has many of them."""
    own, diito, plain = _taken(own_kd_step), _taken(diito_step), _taken(plain_step)
    assert own.at_least(LOGITS // 2) == diito.at_least(LOGITS // 2) == 0
    assert (
        plain.at_least(LOGITS) >= 2 * 3 + 1
    )  # two models' and a gradient, for base and counterfactual, and the task's
    assert max(own.peak, diito.peak) < 1.5 * LOGITS < plain.peak / 4
