"""ATKD: the teacher's uncertainty about the gold token, its distribution over the others, and the loss on each.

Zhong et al. 2024 (arXiv 2402.11890), section 3. At one position, with p the teacher's distribution, q the student's, g
the gold token, and p̂, q̂ both renormalised without g:

    UNC = 1 − p(g)                                     the teacher's uncertainty
    TKD = KL((p(g), 1 − p(g)) || (q(g), 1 − q(g)))     the target-oriented term
    DKD = KL(p̂ || q̂)                                   the diversity-oriented term
    KL(p || q) = TKD + UNC · DKD

All of it comes from x, the log-odds of g: the logit of g minus the logsumexp of the others. 1 − p(g) itself is 0 in
float32 for a confident teacher, and its logarithm would not be finite.

`gold` holds a token for each row; where the mask is false it may be anything, −100 included.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.linalg import vecdot

from causalkd.losses.chunked import Kernel, loss_of_rows
from causalkd.losses.divergence import Loss, Rows, through_softmax
from causalkd.losses.fused import RowLoss
from causalkd.losses.gold_odds import Gold, Others, TeacherOdds, Vector, safe_gold, with_gold
from causalkd.losses.predictions import Predictions, Unprojected
from causalkd.losses.tiled_odds import binary_kl

Over = Literal["batch", "sequence"]


def hard_tokens(
    uncertainty: Float[Tensor, "*batch pos"],
    mask: Bool[Tensor, "*batch pos"] | None = None,
    fraction: float = 0.5,
    over: Over = "batch",
    among: Float[Tensor, " all"] | None = None,
) -> Bool[Tensor, "*batch pos"]:
    """The mask of hard tokens: counted, and at least as uncertain as the quantile that leaves about `fraction` above.

    At 0.5 the quantile is the lower median, so of n different values ⌊(n − 1) / 2⌋ are easy. Ties with it are hard.

    Args:
        uncertainty: UNC of each token, or anything that grows with it.
        mask: The tokens that count.
        fraction: The hard share, in (0, 1].
        over: The tokens of the quantile: all counted ones, or those of each sequence.
        among: With `batch`, the uncertainties of a larger batch that these are part of: the quantile is taken over
            them. Positive infinity marks tokens that do not count.

    Raises:
        ValueError: The fraction is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"the hard fraction is {fraction}; it is a share of the tokens and must lie in (0, 1]")
    mask = torch.ones_like(uncertainty, dtype=torch.bool) if mask is None else mask
    if not mask.numel():  # no tokens have no quantile
        return mask
    rows, counted = (each if over == "sequence" else each.flatten() for each in (uncertainty, mask))
    if among is not None and over == "batch":
        return mask & (uncertainty >= _quantile(among, among < torch.inf, fraction))
    return mask & (rows >= _quantile(rows, counted, fraction)).view_as(mask)


def _quantile(rows: Tensor, counted: Tensor, fraction: float) -> Tensor:
    ranked = rows.masked_fill(~counted, torch.inf).sort(-1).values
    # Double precision and slightly more: ⌊0.9 · 10⌋ must be 9 however 1 − 0.1 is rounded.
    last = (counted.sum(-1, keepdim=True) - 1).clamp(min=0)
    return ranked.gather(-1, (last.double() * (1 - fraction) + 1e-9).long())


def dkd(
    student_logits: Tensor | Unprojected,
    teacher_logits: Predictions,
    gold: Int[Tensor, "*batch"],
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
    alpha: float = 0.2,
    beta: float = 1.0,
) -> Float[Tensor, ""]:
    """α TKD + β DKD, averaged over what counts (decoupled KD, Zhao et al. 2022); α and β as in ATKD's release."""
    return dkd_rows(student_logits, teacher_logits, gold, mask, temperature, alpha, beta).value()


def dkd_rows(
    student_logits: Tensor | Unprojected,
    teacher_logits: Predictions,
    gold: Int[Tensor, "*batch"],
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
    alpha: float = 0.2,
    beta: float = 1.0,
) -> RowLoss:
    """`dkd` as a loss that can share a pass with others."""
    kernel, others = _terms(student_logits, gold, alpha, beta, mask, reverse=False)
    return RowLoss(student_logits, kernel, (teacher_logits, *others), mask, temperature=temperature)


def atkd(
    student_logits: Tensor | Unprojected,
    teacher_logits: Predictions,
    gold: Int[Tensor, "*batch"],
    hard: Bool[Tensor, "*batch"],
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
    easy_weight: float = 0.2,
    reverse: bool = False,
    sizes: tuple[Shaped[Tensor, ""], Shaped[Tensor, ""]] | None = None,
    teacher_odds: TeacherOdds | None = None,
) -> Float[Tensor, ""]:
    """λ · mean over easy tokens of DKD + (1 − λ) · mean over hard tokens of (TKD + DKD) (equation 5).

    The factor UNC is gone. A group without a token adds nothing.

    Args:
        student_logits: The student's predictions.
        teacher_logits: The teacher's predictions.
        gold: The gold token of each row.
        hard: The hard tokens, from `hard_tokens` or a threshold; the others that count are easy.
        mask: The tokens that count.
        temperature: T of both.
        easy_weight: λ.
        reverse: Whether to reverse the roles of teacher and student in TKD and DKD.
        sizes: The numbers of easy and hard tokens to divide by, if these rows are part of a larger batch.
        teacher_odds: The result of `gold_odds.teacher_odds` for these predictions: hidden states are then compared tile
            by tile.

    Raises:
        ValueError: `teacher_odds` belongs to other predictions or gold tokens, or to another temperature.
    """
    settings = (mask, temperature, easy_weight, reverse, sizes, teacher_odds)
    return atkd_rows(student_logits, teacher_logits, gold, hard, *settings).value()


def atkd_rows(
    student_logits: Tensor | Unprojected,
    teacher_logits: Predictions,
    gold: Int[Tensor, "*batch"],
    hard: Bool[Tensor, "*batch"],
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
    easy_weight: float = 0.2,
    reverse: bool = False,
    sizes: tuple[Shaped[Tensor, ""], Shaped[Tensor, ""]] | None = None,
    teacher_odds: TeacherOdds | None = None,
) -> RowLoss:
    """`atkd` as a loss that can share a pass with others."""
    odds = None if teacher_odds is None else teacher_odds.checked(teacher_logits, gold, temperature)
    mask = torch.ones_like(hard) if mask is None else mask
    target = hard.to(torch.promote_types(student_logits.dtype, torch.float32))
    sizes = sizes or ((mask & ~hard).sum(), (mask & hard).sum())
    # The sum over no tokens is 0, whatever the divisor is.
    easy, of_hard = (
        weight / torch.where(size > 0, size, 1).to(target.dtype)
        for weight, size in zip((easy_weight, 1 - easy_weight), sizes, strict=True)
    )
    kernel, others = _terms(student_logits, gold, target, 1.0, mask, reverse)
    weights = torch.where(hard, of_hard, easy)
    return RowLoss(
        student_logits,
        kernel,
        (teacher_logits, *others),
        mask,
        weights,
        temperature,
        divisor=torch.ones_like(easy),
        teacher_odds=None if reverse else odds,
    )


def decoupled(
    student_logits: Float[Tensor, "*batch choice"],
    teacher_logits: Float[Tensor, "*batch choice"],
    gold: Int[Tensor, "*batch"],
    target: float | Float[Tensor, "*batch"],
    diversity: float | Float[Tensor, "*batch"],
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
    reverse: bool = False,
) -> Float[Tensor, "*batch"]:
    """Each row's target · TKD + diversity · DKD, 0 where the mask is false; `reverse` reverses the roles in both."""
    kernel, others = _terms(student_logits, gold, target, diversity, mask, reverse)
    return loss_of_rows(kernel, student_logits, (teacher_logits, *others), mask, temperature)


def _terms(
    student: Tensor | Unprojected,
    gold: Tensor,
    target: float | Tensor,
    diversity: float | Tensor,
    mask: Tensor | None,
    reverse: bool,
) -> tuple[Kernel, tuple[Tensor, ...]]:
    """The kernel of target · TKD + diversity · DKD, and its arguments besides the logits of student and teacher."""
    dtype = torch.promote_types(student.dtype, torch.float32)
    weights = tuple(torch.as_tensor(w, dtype=dtype, device=gold.device).expand(gold.shape) for w in (target, diversity))
    return _reverse_terms if reverse else _forward_terms, (safe_gold(gold, mask), *weights)


def _forward_terms(student: Rows, teacher: Rows, gold: Gold, target: Vector, diversity: Vector) -> Loss:
    ours, theirs = Others.of(student, gold), Others.of(teacher, gold)
    x, y = ours.log_odds, theirs.log_odds
    apart = theirs.log_ratio(ours, gold).mul_(theirs.powers).sum(-1) / theirs.total
    loss = target * binary_kl(y, x) + diversity * apart

    def gradient() -> Rows:
        of_odds, q, p = target * (x.sigmoid() - y.sigmoid()), ours.softmax_(), theirs.softmax_()
        return with_gold(q, torch.sub(q, p, out=p).mul_(diversity.unsqueeze(1)), of_odds, gold)

    return loss, gradient


def _reverse_terms(student: Rows, teacher: Rows, gold: Gold, target: Vector, diversity: Vector) -> Loss:
    ours, theirs = Others.of(student, gold), Others.of(teacher, gold)
    x, y, q = ours.log_odds, theirs.log_odds, ours.softmax_()
    log_ratio = ours.log_ratio(theirs, gold)
    loss = target * binary_kl(x, y) + diversity * vecdot(q, log_ratio)

    def gradient() -> Rows:
        of_odds = target * x.sigmoid() * torch.sigmoid(-x) * (x - y)
        of_others = through_softmax(q, log_ratio).mul_(diversity.unsqueeze(1))
        return with_gold(q, of_others, of_odds, gold)

    return loss, gradient
