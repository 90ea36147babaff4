"""The divergences as one would write them in five lines, with torch's own gradient; float64, moderate logits."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

Oracle = Callable[[Tensor, Tensor], Tensor]
"""(log q of the student, log p of the teacher) → the divergence of each row."""


def mean(oracle: Oracle, student: Tensor, teacher: Tensor, mask: Tensor, temperature: float = 1.0) -> Tensor:
    """The divergence of softmaxes at a temperature, averaged over the rows that count."""
    rows = oracle(F.log_softmax(student / temperature, dim=-1), F.log_softmax(teacher / temperature, dim=-1))
    return rows[mask].sum() / mask.sum().clamp(min=1)


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q)."""
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)


def forward_kl(log_q: Tensor, log_p: Tensor) -> Tensor:
    return kl(log_p, log_q)


def reverse_kl(log_q: Tensor, log_p: Tensor) -> Tensor:
    return kl(log_q, log_p)


def jensen_shannon(beta: float) -> Oracle:
    def rows(log_q: Tensor, log_p: Tensor) -> Tensor:
        log_m = (beta * log_p.exp() + (1 - beta) * log_q.exp()).log()
        return beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)

    return rows


def total_variation(log_q: Tensor, log_p: Tensor) -> Tensor:
    return (log_p.exp() - log_q.exp()).abs().sum(-1) / 2


def skewed_forward_kl(alpha: float) -> Oracle:
    return lambda log_q, log_p: kl(log_p, (alpha * log_p.exp() + (1 - alpha) * log_q.exp()).log())


def skewed_reverse_kl(alpha: float) -> Oracle:
    return lambda log_q, log_p: kl(log_q, (alpha * log_q.exp() + (1 - alpha) * log_p.exp()).log())
