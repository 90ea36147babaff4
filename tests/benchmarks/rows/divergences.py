"""Every divergence beside a plain full forward KL, on a batch of logits as large as OPT's: time and memory."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from causalkd.losses import decoupled, divergence
from causalkd.losses.gold_odds import uncertainty
from tests.benchmarks.measure import Step, paired_ratios, step_memory
from tests.benchmarks.row import Row
from tests.benchmarks.setting import Setting

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(student's logits, teacher's, gold tokens) → scalar."""

_TIME_BAR, _MEMORY_BAR = 0.9, 0.5
# What goes through memory: both logits and the gradient are three tensors. A plain forward KL makes or reads thirteen:
# each log_softmax 2; kl_div 3 and its backward 2; that of log_softmax 4, with the expanded gradient of the sum.
_FLOOR = 3 / 13


def _plain(student: Tensor, teacher: Tensor, gold: Tensor) -> Tensor:
    log_q, log_p = F.log_softmax(student, dim=-1), F.log_softmax(teacher, dim=-1)
    return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


def _atkd(student: Tensor, teacher: Tensor, gold: Tensor) -> Tensor:
    return decoupled.atkd(student, teacher, gold, decoupled.hard_tokens(uncertainty(teacher, gold)))


def _without_gold(loss: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    return lambda student, teacher, gold: loss(student, teacher)


def _step(loss: Loss, setting: Setting) -> Step:
    """Forward and backward of a loss on logits of its own; small ones have been through it already."""
    tokens, vocabulary = setting.divergence_tokens, setting.divergence_vocabulary
    generator = torch.Generator().manual_seed(0)
    student, teacher = (3 * torch.randn(tokens, vocabulary, generator=generator) for _ in range(2))
    gold = torch.randint(vocabulary, (tokens,), generator=generator)
    few = min(tokens, 16)
    loss(student[:few].clone().requires_grad_(), teacher[:few], gold[:few]).backward()
    student.requires_grad_()

    def step() -> None:
        student.grad = None
        loss(student, teacher, gold).backward()

    return step


plain = partial(_step, _plain)
atkd = partial(_step, _atkd)
dkd = partial(_step, decoupled.dkd)
forward_kl = partial(_step, _without_gold(divergence.forward_kl))
reverse_kl = partial(_step, _without_gold(divergence.reverse_kl))
jensen_shannon = partial(_step, _without_gold(divergence.jensen_shannon))
total_variation = partial(_step, _without_gold(divergence.total_variation))
skewed_forward_kl = partial(_step, _without_gold(divergence.skewed_forward_kl))
skewed_reverse_kl = partial(_step, _without_gold(divergence.skewed_reverse_kl))
STEPS = {
    "atkd": atkd,
    "dkd": dkd,
    "forward_kl": forward_kl,
    "reverse_kl": reverse_kl,
    "jensen_shannon": jensen_shannon,
    "total_variation": total_variation,
    "skewed_forward_kl": skewed_forward_kl,
    "skewed_reverse_kl": skewed_reverse_kl,
}


def rows(setting: Setting) -> list[Row]:
    """For each divergence `<name>_vs_forward_kl` and `<name>_memory`, beyond both models' logits and the gradient."""
    steps = {name: make(setting) for name, make in STEPS.items()}
    ratios = paired_ratios(plain(setting), steps, setting.rounds)
    times = [
        Row(f"{name}_vs_forward_kl", ratio.wall, _TIME_BAR, _FLOOR, "ratio of times", ratio.low, ratio.high, ratio.cpu)
        for name, ratio in ratios.items()
    ]
    return times + [Row(f"{name}_memory", _beyond(name, setting), _MEMORY_BAR, 0.0, "logits tensors") for name in STEPS]


def _beyond(name: str, setting: Setting) -> float:
    tensor = setting.divergence_tokens * setting.divergence_vocabulary * 4 / 2**20
    return step_memory(f"{__name__}:{name}", setting) / tensor - 1
