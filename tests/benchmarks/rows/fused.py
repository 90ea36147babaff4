"""ATKD from hidden states and heads beside a plain full forward KL with heads: time and memory."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from causalkd.losses.decoupled import atkd as atkd_loss
from causalkd.losses.decoupled import hard_tokens
from causalkd.losses.divergence import forward_kl as forward_kl_loss
from causalkd.losses.gold_odds import teacher_odds
from causalkd.models.hooks.split_head import UnprojectedLogits
from tests.benchmarks.measure import Step, paired_ratios, step_memory
from tests.benchmarks.row import Row
from tests.benchmarks.setting import CPU, Setting

_MEBIBYTE = 2**20
# Matrix products: plain takes two forward and two for the gradients. ATKD's split needs the teacher's logits before,
# and what a tile needs to know is the student's logits once more.
_FLOPS = 6 / 4


def _drawn(tokens: int, vocabulary: int, width: int, dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    """Hidden states and head of a student that learns, the same of a teacher, and gold tokens."""
    generator = torch.Generator().manual_seed(0)
    shapes = 2 * [(tokens, width), (vocabulary, width)]
    # Logits with a standard deviation of 3.
    spread = (3 / width**0.5) ** 0.5
    drawn = [torch.randn(*shape, generator=generator).mul_(spread).to(device, dtype) for shape in shapes]
    gold = torch.randint(vocabulary, (tokens,)).to(device)
    return [*(each.requires_grad_() for each in drawn[:2]), *drawn[2:], gold]


def _head(hidden: Tensor, weight: Tensor) -> UnprojectedLogits:
    return UnprojectedLogits(hidden, weight, None, 1.0, None, hidden.dtype, hidden.requires_grad, hidden[..., :0])


def _plain(hidden: Tensor, weight: Tensor, teacher_hidden: Tensor, teacher_weight: Tensor, gold: Tensor) -> Tensor:
    with torch.no_grad():
        log_p = F.log_softmax(F.linear(teacher_hidden, teacher_weight), dim=-1)
    log_q = F.log_softmax(F.linear(hidden, weight), dim=-1)
    return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


def _atkd(hidden: Tensor, weight: Tensor, teacher_hidden: Tensor, teacher_weight: Tensor, gold: Tensor) -> Tensor:
    student, teacher = _head(hidden, weight), _head(teacher_hidden, teacher_weight)
    taught = teacher_odds(teacher, gold)
    return atkd_loss(student, teacher, gold, hard_tokens(taught.uncertainty), teacher_odds=taught)


def _forward_kl(hidden: Tensor, weight: Tensor, teacher_hidden: Tensor, teacher_weight: Tensor, gold: Tensor) -> Tensor:
    return forward_kl_loss(_head(hidden, weight), _head(teacher_hidden, teacher_weight))


def _step(loss: object, dtype: torch.dtype, long: bool, setting: Setting, device: torch.device = CPU) -> Step:
    """Forward and backward; few rows have been through it already."""
    assert callable(loss)
    tokens, vocabulary = setting.divergence_tokens, setting.divergence_vocabulary
    if long:
        tokens, vocabulary = setting.long_tokens, setting.long_vocabulary
    hidden, weight, *teacher, gold = _drawn(tokens, vocabulary, setting.divergence_width, dtype, device)
    few = _drawn(2, 8, setting.divergence_width, dtype, device)
    loss(*few).backward()

    def step() -> None:
        hidden.grad = weight.grad = None
        loss(hidden, weight, *teacher, gold).backward()

    return step


plain = partial(_step, _plain, torch.float32, False)
atkd = partial(_step, _atkd, torch.float32, False)
forward_kl = partial(_step, _forward_kl, torch.float32, False)
atkd_128k = partial(_step, _atkd, torch.bfloat16, True)


def rows(setting: Setting) -> list[Row]:
    """`atkd_fused_vs_plain`, `forward_kl_fused_vs_plain`, and the memory beyond inputs and gradients.

    `fused_memory` is in tensors of all logits; `fused_memory_128k` in MiB.
    """
    steps = {"atkd": atkd(setting), "forward_kl": forward_kl(setting)}
    ratios = paired_ratios(plain(setting), steps, setting.rounds)
    bars, flops = {"atkd": 0.85, "forward_kl": None}, {"atkd": _FLOPS, "forward_kl": 1.0}
    found = [
        Row(
            f"{name}_fused_vs_plain",
            ratio.wall,
            bars[name],
            None,
            "ratio of times",
            ratio.low,
            ratio.high,
            ratio.cpu,
            flops[name],
        )
        for name, ratio in ratios.items()
    ]
    tokens, vocabulary, width = setting.divergence_tokens, setting.divergence_vocabulary, setting.divergence_width
    tensor = tokens * vocabulary * 4 / _MEBIBYTE
    beyond = step_memory(f"{__name__}:atkd", setting) - (tokens + vocabulary) * width * 4 / _MEBIBYTE
    tokens, vocabulary = setting.long_tokens, setting.long_vocabulary
    beyond_128k = step_memory(f"{__name__}:atkd_128k", setting) - (tokens + vocabulary) * width * 2 / _MEBIBYTE
    return [
        *found,
        Row("fused_memory", beyond / tensor, 0.1, 0.0, "logits tensors"),
        Row("fused_memory_128k", beyond_128k, 1024.0, 0.0, "MiB"),
    ]
