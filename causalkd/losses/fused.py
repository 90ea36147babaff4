"""Losses computed from hidden states: the logits over a vocabulary exist for a few rows at a time, in both directions.

A language model's head ends in a linear map, z = W h + b. Here a chunk of hidden states is mapped to logits, all losses
that look at these rows are computed, and the gradient in the logits goes at once into those of h, W and b. Whatever the
number of rows, the largest tensors are those of one chunk. Losses of the same student share one pass over its head.

The losses themselves are kernels of logits (`chunked`), so they are the same with and without this.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from causalkd.losses.chunked import Kernel, check_no_gradient, check_rows, check_temperature, loss_of_rows
from causalkd.losses.fused_pass import PassPlan, Term, run_pass
from causalkd.losses.predictions import Predictions, Unprojected
from causalkd.losses.projection import Projection
from causalkd.losses.tiled_odds import Odds
from causalkd.losses.tiled_pass import tile_elements, tiled_odds


@dataclass(frozen=True, eq=False)
class RowLoss:
    """factor · Σ over rows of weight · loss / divisor: a loss that can be computed in one pass with others.

    Attributes:
        student: The student's predictions; the only argument that receives a gradient, once (no second derivative).
        kernel: The loss of each row.
        others: The kernel's further arguments, of the same rows; a tensor with the shape of logits holds logits too.
        mask: The rows that count; all without it. The others may hold anything.
        weights: Factors of the rows.
        temperature: Divides all logits.
        divisor: The divisor of the sum; by default the number of rows that count, which makes it a mean.
        factor: The factor of the whole loss.
        teacher_odds: Only for a forward decoupled loss: the odds that the teacher's pass found, at the same
            temperature. Both models' logits then exist one tile at a time.
    """

    student: Tensor | Unprojected
    kernel: Kernel
    others: tuple[Predictions, ...] = ()
    mask: Bool[Tensor, "*batch"] | None = None
    weights: Float[Tensor, "*batch"] | None = None
    temperature: float = 1.0
    divisor: Shaped[Tensor, ""] | None = None
    factor: Float[Tensor, ""] | float = 1.0
    teacher_odds: Odds | None = None

    def times(self, factor: Tensor | float) -> "RowLoss":
        """The same loss, multiplied by a number."""
        return replace(self, factor=self.factor * factor)

    def value(self) -> Float[Tensor, ""]:
        """The loss, with its gradient in the student."""
        return fused_total([self])[0] if isinstance(self.student, Unprojected) else self._of_logits()

    def _of_logits(self) -> Tensor:
        assert isinstance(self.student, Tensor)
        others = tuple(each if isinstance(each, Tensor) else each.whole() for each in self.others)
        rows = loss_of_rows(self.kernel, self.student, others, self.mask, self.temperature)
        return self.factor * self._reduced(rows)

    def _reduced(self, rows: Tensor) -> Tensor:
        rows = rows if self.weights is None else rows * self.weights
        rows = rows if self.mask is None else torch.where(self.mask, rows, 0)
        return rows.sum() / self._divides(rows)

    def _divides(self, rows: Tensor) -> Tensor | int:
        if self.divisor is not None:
            return self.divisor
        return max(rows.numel(), 1) if self.mask is None else self.mask.sum().clamp(min=1)

    def coefficients(self, dtype: torch.dtype) -> Float[Tensor, " row"]:
        """The factor of each row's loss, 0 where it does not count."""
        shape, device = self.student.shape[:-1], self.student.hidden.device  # type: ignore[union-attr]
        found = torch.ones(shape, dtype=dtype, device=device) if self.weights is None else self.weights.to(dtype)
        found = found if self.mask is None else torch.where(self.mask, found, 0)
        return (found * self.factor / self._divides(found)).flatten()


def fused_total(
    losses: Sequence[RowLoss], weights: Sequence[float] | None = None
) -> tuple[Float[Tensor, ""], list[Float[Tensor, ""]]]:
    """The weighted sum of losses of one student's hidden states, in one pass over its head; and each, without a graph.

    The head's matrix products run in the head's precision, and all else at least in float32, under autocast too. The
    gradient of a head in half precision is summed up in float32.

    Raises:
        ValueError: They are of different students, a teacher requires a gradient, the arguments have different rows or
            choices, or a temperature is not a positive number.
    """
    student = losses[0].student
    assert isinstance(student, Unprojected)
    if any(loss.student is not student for loss in losses):
        raise ValueError("losses that share a pass must be of the same student's predictions; give those of one run")
    wide = torch.promote_types(student.dtype, torch.float32)
    unweighted = [loss.coefficients(wide) for loss in losses]
    weights = [1.0] * len(losses) if weights is None else weights
    terms = [_term(loss, weight * own) for loss, weight, own in zip(losses, weights, unweighted, strict=True)]
    (teacher_odds, *_), others = [loss.teacher_odds for loss in losses], losses[0].others
    tiled = teacher_odds is not None and len(losses) == 1 and isinstance(others[0], Unprojected)
    hidden = student.hidden.reshape(-1, student.hidden.shape[-1])
    odds = Odds(*(each.flatten() for each in teacher_odds)) if tiled and teacher_odds is not None else None
    plan = PassPlan(student.scale, student.cap, student.dtype, terms, torch.is_grad_enabled(), odds)
    total, rows = run_pass(hidden, student.weight, student.bias, plan)
    with torch.no_grad():
        return total, [(values * own).sum() for values, own in zip(rows, unweighted, strict=True)]


def tiled_odds_of(predicted: Unprojected, gold: Int[Tensor, "*batch"], temperature: float) -> Odds:
    """The odds of each row's gold token, from hidden states, which receive no gradient.

    Raises:
        ValueError: The gold tokens are of other rows, or the temperature is not a positive number.
    """
    check_temperature(temperature)
    check_rows(predicted.shape, [gold.shape])
    rows, device = gold.numel(), gold.device.type
    with torch.no_grad(), torch.autocast(device, enabled=False):
        head = Projection.of_teacher(predicted, tile_elements(rows, device))
        found = tiled_odds(head, gold.flatten(), temperature, torch.promote_types(predicted.dtype, torch.float32))
        return Odds(*(each.view(gold.shape) for each in found))


def _term(loss: RowLoss, coefficients: Tensor) -> Term:
    check_temperature(loss.temperature)
    check_no_gradient(
        each.hidden if isinstance(each, Unprojected) else each
        for each in loss.others
        if isinstance(each, Tensor | Unprojected)
    )
    check_rows(loss.student.shape, [each.shape for each in loss.others])
    others = tuple(_flat(each, loss.student.shape) for each in loss.others)
    mask = None if loss.mask is None else loss.mask.flatten()
    return Term(loss.kernel, others, coefficients, mask, loss.temperature)


def _flat(other: Predictions, shape: torch.Size) -> Any:
    if not isinstance(other, Tensor):
        return other
    return other.reshape(-1, shape[-1]) if other.shape == shape else other.flatten()
