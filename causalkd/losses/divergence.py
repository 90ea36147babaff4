"""Divergences between two models' predictions, in nats but for the total variation; zero at agreement.

p is the teacher's distribution over the choices, q the student's; both are softmaxes at one temperature. There is no
factor T² (Hinton et al. 2015, section 2): the objective that wants it multiplies. A mean over the rows where `mask` is
true; with none true the loss and its gradient are 0. The teacher receives no gradient.

Each is written once, for some rows, as its value and its gradient in the student's logits. If u is the derivative in q,
that gradient is q · (u − Σ q u), and a constant in u drops out.
"""

import math
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.linalg import vecdot

from causalkd.losses.chunked import Gradient, Kernel
from causalkd.losses.fused import RowLoss
from causalkd.losses.predictions import Predictions, Unprojected
from causalkd.losses.tiled_odds import furthest

Rows = Float[Tensor, "row choice"]
Loss = tuple[Float[Tensor, " row"], Gradient]


def forward_kl(
    student_logits: Tensor | Unprojected,
    teacher_logits: Predictions,
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
    weights: Float[Tensor, "*batch"] | None = None,
) -> Float[Tensor, ""]:
    """KL(p || q), the usual loss of distillation (Hinton et al. 2015); `weights` are factors of the rows."""
    return _mean(_forward_kl, student_logits, teacher_logits, mask, temperature, weights)


def reverse_kl(
    student_logits: Tensor | Unprojected,
    teacher_logits: Predictions,
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """KL(q || p), which tolerates a student that leaves out some of the teacher's modes (MiniLLM, Gu et al. 2024)."""
    return _mean(_reverse_kl, student_logits, teacher_logits, mask, temperature)


def jensen_shannon(
    student_logits: Tensor | Unprojected,
    teacher_logits: Predictions,
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
    beta: float = 0.5,
) -> Float[Tensor, ""]:
    """β KL(p || m) + (1 − β) KL(q || m) with m = β p + (1 − β) q (GKD, Agarwal et al. 2024, equation 1).

    The divergence tends to 0 as β tends to 0 or 1. At β = 0 this is the limit of JS/β, KL(p || q), and at β = 1 that of
    JS/(1 − β), KL(q || p), as in GKD. ATKD's release calls 0.9 KL(p || q) + 0.1 KL(q || p) by this name, which is
    another loss.

    Raises:
        ValueError: β is not in [0, 1].
    """
    return _mean(_mixed(beta), student_logits, teacher_logits, mask, temperature)


def total_variation(
    student_logits: Tensor | Unprojected,
    teacher_logits: Predictions,
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """½ Σ |p − q|, in [0, 1] and not in nats (f-distill, Wen et al. 2023).

    Differs from ATKD's release: there the mean is over the positions that are masked out.
    """
    return _mean(_total_variation, student_logits, teacher_logits, mask, temperature)


def skewed_forward_kl(
    student_logits: Tensor | Unprojected,
    teacher_logits: Predictions,
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
    alpha: float = 0.1,
) -> Float[Tensor, ""]:
    """KL(p || α p + (1 − α) q), at most −log α (DistiLLM, Ko et al. 2024, equation 3).

    Raises:
        ValueError: α is not in (0, 1).
    """
    return _mean(_skewed(_skewed_forward_kl, alpha, "forward_kl"), student_logits, teacher_logits, mask, temperature)


def skewed_reverse_kl(
    student_logits: Tensor | Unprojected,
    teacher_logits: Predictions,
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
    alpha: float = 0.1,
) -> Float[Tensor, ""]:
    """KL(q || α q + (1 − α) p), at most −log α (DistiLLM, Ko et al. 2024).

    Raises:
        ValueError: α is not in (0, 1).
    """
    return _mean(_skewed(_skewed_reverse_kl, alpha, "reverse_kl"), student_logits, teacher_logits, mask, temperature)


def kernel_of(name: str, share: float | None = None) -> Kernel:
    """The kernel of one of these divergences by its name, with its β or α where one is given.

    Raises:
        ValueError: The share is out of bounds.
    """
    if name == "jensen_shannon":
        return _mixed(0.5 if share is None else share)
    if name in ("skewed_forward_kl", "skewed_reverse_kl"):
        kernel = _skewed_forward_kl if name == "skewed_forward_kl" else _skewed_reverse_kl
        return _skewed(kernel, 0.1 if share is None else share, name.removeprefix("skewed_"))
    return {"forward_kl": _forward_kl, "reverse_kl": _reverse_kl, "total_variation": _total_variation}[name]


def _mixed(beta: float) -> Kernel:
    if not 0 <= beta <= 1:
        raise ValueError(f"beta is {beta}; it mixes two distributions and must lie in [0, 1]")
    return {0.0: _forward_kl, 1.0: _reverse_kl}.get(beta, partial(_jensen_shannon, beta=beta))


def _skewed(kernel: Kernel, alpha: float, limit: str) -> Kernel:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it mixes two distributions and must lie in (0, 1). For 0 use {limit}")
    return partial(kernel, alpha=alpha)


def _mean(
    kernel: Kernel,
    student: Tensor | Unprojected,
    teacher: Predictions,
    mask: Tensor | None,
    temperature: float,
    weights: Tensor | None = None,
) -> Float[Tensor, ""]:
    return RowLoss(student, kernel, (teacher,), mask, weights, temperature).value()


class Pair(NamedTuple):
    """Both distributions, and log p − log q, which is exact where the models agree and finite everywhere."""

    p: Rows
    q: Rows
    log_ratio: Rows


def compared(student: Rows, teacher: Rows) -> Pair:
    """Both softmaxes of some rows, from one exponential each."""
    p, q = teacher.softmax(-1), student.softmax(-1)
    # A softmax's logarithm is the distance to the largest logit, plus the logarithm at that one: no second exponential,
    # and exactly 0 for equal logits. The two shifts are taken one by one, the small one last, to lose no digits.
    most = teacher.amax(-1, keepdim=True) - student.amax(-1, keepdim=True)
    least = p.amax(-1, keepdim=True).log() - q.amax(-1, keepdim=True).log()
    log_ratio = (teacher - student).sub_(most)
    # Two logits of −inf agree, one of them is far away. A row without a softmax stays without one, through `least`.
    return Pair(p, q, log_ratio.nan_to_num_(nan=0).clamp_(-furthest(p), furthest(p)).add_(least))


def _forward_kl(student: Rows, teacher: Rows) -> Loss:
    p, q, log_ratio = compared(student, teacher)
    return vecdot(p, log_ratio), lambda: q - p


def _reverse_kl(student: Rows, teacher: Rows) -> Loss:
    _, q, log_ratio = compared(student, teacher)
    return -vecdot(q, log_ratio), lambda: through_softmax(q, -log_ratio)


def _jensen_shannon(student: Rows, teacher: Rows, beta: float) -> Loss:
    p, q, log_ratio = compared(student, teacher)
    above_q = _quotient(torch.lerp(q, p, beta), q).log_()  # log m − log q
    # p is at most m/β. That also holds the sum where q is too small to divide by.
    below_p = (log_ratio - above_q).clamp_max_(-math.log(beta))
    loss = beta * vecdot(p, below_p) - (1 - beta) * vecdot(q, above_q)
    return loss, lambda: through_softmax(q, above_q.mul_(beta - 1))


def _total_variation(student: Rows, teacher: Rows) -> Loss:
    q = student.softmax(-1)
    difference = q - teacher.softmax(-1)
    return difference.abs().sum(-1) / 2, lambda: through_softmax(q, difference.sign_().div_(2))


def _skewed_forward_kl(student: Rows, teacher: Rows, alpha: float) -> Loss:
    p, q = teacher.softmax(-1), student.softmax(-1)
    ratio = _quotient(p, torch.lerp(q, p, alpha))
    return vecdot(p, ratio.log()), lambda: through_softmax(q, (1 - ratio).mul_(1 - alpha))


def _skewed_reverse_kl(student: Rows, teacher: Rows, alpha: float) -> Loss:
    p, q = teacher.softmax(-1), student.softmax(-1)
    ratio = _quotient(q, torch.lerp(p, q, alpha))
    log_ratio = ratio.log()
    return vecdot(q, log_ratio), lambda: through_softmax(q, log_ratio.add_((1 - ratio).mul_(alpha)))


def _quotient(above: Rows, below: Rows) -> Rows:
    """One probability over another, 1 where both are nothing; its logarithm is finite."""
    least = torch.finfo(above.dtype).tiny
    return above.clamp_min(least).div_(below.clamp_min(least))


def through_softmax(q: Rows, derivative: Rows) -> Rows:
    """The gradient in the logits from that in q; the latter is used up."""
    return derivative.sub_(vecdot(q, derivative).unsqueeze(-1)).mul_(q)
