"""One pass over a head: chunk by chunk the logits, every loss of them, and the gradients of hidden states and head."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from causalkd.losses.chunked import Kernel, check_backward, chunks, clamped_to_dtype, scaled, zero_uncounted
from causalkd.losses.predictions import CompressedLogits, Predictions, Unprojected
from causalkd.losses.projection import Projection
from causalkd.losses.tiled_odds import Odds
from causalkd.losses.tiled_pass import Decoupled, Gradients, tile_elements, tiled_pass

# Logits in a chunk. A matrix product of few rows spends its time reading the head's weight.
_CHUNK_ON_CPU, _CHUNK = 2**22, 2**25
# Entries of a vocabulary whose gradient is summed up at a time, if that takes a tensor of its own.
_ENTRIES = 2**13


class Term(NamedTuple):
    """One loss of the pass."""

    kernel: Kernel
    others: tuple[Predictions, ...]
    coefficients: Float[Tensor, " row"]
    """The factor of each row's loss in the sum."""
    counted: Bool[Tensor, " row"] | None
    temperature: float


@dataclass(frozen=True, eq=False)
class PassPlan:
    """The head's settings and the losses of its logits.

    Attributes:
        scale: The factor of the linear map's result.
        cap: The c of c · tanh(z / c); None if there is none.
        dtype: The dtype in which the head computes.
        terms: The losses.
        is_learning: Whether gradients are needed at all.
    """

    scale: float
    cap: float | None
    dtype: torch.dtype
    terms: Sequence[Term]
    is_learning: bool
    teacher_odds: Odds | None = None
    """The teacher's odds, for a single forward decoupled loss alone; with them the pass goes tile by tile."""


class _FusedRows(torch.autograd.Function):
    """(hidden states, weight, bias) → the sum of all losses, and the loss of each row by term, without a graph.

    The gradients are made in forward: in backward both models' logits would have to be computed again. They are those
    of the sum divided by its largest coefficient, which keeps half precision from losing them; backward multiplies.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, plan: PassPlan) -> tuple[Tensor, Tensor]:
        coefficients = torch.stack([term.coefficients for term in plan.terms])
        largest = coefficients.abs().amax() if coefficients.numel() else coefficients.new_ones(())
        largest = torch.where(largest > 0, largest, 1)
        needs_grad = [plan.is_learning and needed for needed in ctx.needs_input_grad[:3]]
        walk = _walk if plan.teacher_odds is None else _walk_tiles
        with torch.autocast(hidden.device.type, enabled=False):
            rows, found = walk(hidden, weight, bias, plan, coefficients / largest, needs_grad)
        like = [None if each is None else each.dtype for each in (hidden, weight, bias)]
        ctx.largest, ctx.kept = largest, list(zip(found, like, strict=True))
        total = (rows * coefficients).sum()
        ctx.mark_non_differentiable(rows)
        return total, rows

    @staticmethod
    def backward(ctx: Any, *factors: Tensor) -> tuple[Tensor | None, ...]:
        check_backward(ctx.kept)
        factor, kept = factors[0] * ctx.largest, ctx.kept
        # The graph is used once, unless the caller retains it: then the gradients must stay unchanged for the next one.
        if torch._C._autograd._get_current_graph_task_keep_graph():  # pyright: ignore[reportAttributeAccessIssue]
            return *(None if each is None else (each * factor).to(dtype) for each, dtype in kept), None
        ctx.kept = None
        return *(None if each is None else each.mul_(factor).to(dtype) for each, dtype in kept), None


def run_pass(hidden: Tensor, weight: Tensor, bias: Tensor | None, plan: PassPlan) -> tuple[Tensor, Tensor]:
    """The sum of all losses, with its gradient in the three tensors, and the loss of each row by term, without one."""
    return _FusedRows.apply(hidden, weight, bias, plan)


class _Gradients:
    """The needed gradients of hidden states, weight and bias, added up chunk by chunk."""

    def __init__(
        self, wanted: Sequence[bool], hidden: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype
    ) -> None:
        wide = torch.promote_types(dtype, torch.float32)
        self.dtype = dtype
        self.hidden = torch.empty_like(hidden, dtype=dtype) if wanted[0] else None
        self.weight = torch.zeros_like(weight, dtype=wide) if wanted[1] else None
        self.bias = torch.zeros_like(bias, dtype=wide) if bias is not None and wanted[2] else None

    @property
    def wanted(self) -> bool:
        return any(each is not None for each in (self.hidden, self.weight, self.bias))

    def add(self, chunk: slice, of_logits: Tensor, hidden: Tensor, weight: Tensor) -> None:
        """Adds the gradients that follow from the gradient in the logits of a chunk."""
        if self.hidden is not None:
            torch.mm(of_logits, weight, out=self.hidden[chunk])
        if self.bias is not None:
            self.bias += of_logits.sum(0, dtype=self.bias.dtype)
        if self.weight is None:
            return
        if self.weight.dtype == of_logits.dtype:
            self.weight.addmm_(of_logits.T, hidden)
            return
        for part, own in zip(of_logits.split(_ENTRIES, dim=1), self.weight.split(_ENTRIES), strict=True):
            own += part.T @ hidden


_Found = tuple[Tensor, tuple[Tensor | None, Tensor | None, Tensor | None]]
"""The loss of each row by term, and the gradients of hidden states, weight and bias."""


def _walk_tiles(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    plan: PassPlan,
    coefficients: Tensor,
    needs_grad: Sequence[bool],
) -> _Found:
    (term,), teacher_odds = plan.terms, plan.teacher_odds
    given, gold, target, diversity = term.others
    assert teacher_odds is not None and isinstance(given, Unprojected)
    assert isinstance(gold, Tensor) and isinstance(target, Tensor) and isinstance(diversity, Tensor)
    elements, wide = tile_elements(len(hidden), hidden.device.type), coefficients.dtype
    student = Projection(hidden, weight, bias, plan.scale, plan.cap, plan.dtype, elements)
    gradients = Gradients(
        torch.zeros_like(hidden, dtype=wide) if needs_grad[0] else None,
        torch.zeros_like(weight, dtype=plan.dtype) if needs_grad[1] else None,
        torch.zeros_like(bias, dtype=wide) if needs_grad[2] and bias is not None else None,
    )
    loss = Decoupled(gold, target, diversity, teacher_odds, term.counted, term.temperature)
    rows = tiled_pass(student, Projection.of_teacher(given, elements), loss, coefficients[0], gradients)
    return rows.unsqueeze(0), (gradients.hidden, gradients.weight, gradients.bias)


def _walk(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    plan: PassPlan,
    coefficients: Tensor,
    needs_grad: Sequence[bool],
) -> _Found:
    gradients = _Gradients(needs_grad, hidden, weight, bias, plan.dtype)
    rows = coefficients.new_zeros(coefficients.shape)
    most = next(_row_chunks(len(hidden), len(weight), hidden.device.type), slice(0, 0)).stop * len(weight)
    student = Projection(hidden, weight, bias, plan.scale, plan.cap, plan.dtype, most)
    sources = {id(each): _source(each, most) for term in plan.terms for each in term.others if _is_predictions(each)}
    for chunk in _row_chunks(len(hidden), len(weight), hidden.device.type):
        logits = student.logits(chunk)
        of_teachers = {key: source.logits(chunk) for key, source in sources.items()}
        for part in chunks(logits.shape, hidden.device.type):
            at = slice(chunk.start + part.start, chunk.start + part.stop)
            given = [_arguments(term, logits[part], of_teachers, part, at, rows.dtype) for term in plan.terms]
            found = [term.kernel(*arguments) for term, arguments in zip(plan.terms, given, strict=True)]
            for number, (term, (loss, _)) in enumerate(zip(plan.terms, found, strict=True)):
                rows[number, at] = zero_uncounted(term.counted, at, loss)
            if gradients.wanted:
                whole = _sum_of_gradients(plan.terms, found, coefficients, at)
                whole = student.before_projection(whole, logits[part])
                logits[part] = clamped_to_dtype(whole, logits.dtype, 1.0)
        if gradients.wanted:
            gradients.add(chunk, logits, student.hidden[chunk], student.weight)
    return rows, (gradients.hidden, gradients.weight, gradients.bias)


def _arguments(
    term: Term, logits: Tensor, of_teachers: dict[int, Tensor], part: slice, at: slice, dtype: torch.dtype
) -> list[Tensor]:
    given = [scaled(logits, term.temperature, dtype)]
    for other in term.others:
        if id(other) in of_teachers:
            given.append(scaled(of_teachers[id(other)][part], term.temperature, dtype))
        else:
            assert isinstance(other, Tensor)
            given.append(other[at])
    return given


def _sum_of_gradients(terms: Sequence[Term], found: Sequence[Any], coefficients: Tensor, at: slice) -> Tensor:
    whole: Tensor | None = None
    for number, (term, (_, gradient_of)) in enumerate(zip(terms, found, strict=True)):
        own = zero_uncounted(
            term.counted, at, gradient_of().mul_((coefficients[number, at] / term.temperature).unsqueeze(1))
        )
        whole = own if whole is None else whole.add_(own)
    assert whole is not None
    return whole


class _Rows:
    """Logits in memory, or in a form from which they are made row by row."""

    def __init__(self, given: Tensor | CompressedLogits) -> None:
        self._given = given

    def logits(self, chunk: slice) -> Tensor:
        """The logits of some rows."""
        return self._given[chunk] if isinstance(self._given, Tensor) else self._given.rows(chunk)


def _is_predictions(other: Predictions) -> bool:
    return not isinstance(other, Tensor) or other.dim() == 2


def _source(given: Predictions, most: int) -> Projection | _Rows:
    return Projection.of_teacher(given, most) if isinstance(given, Unprojected) else _Rows(given)


def _row_chunks(rows: int, choices: int, device: str) -> Iterator[slice]:
    size = max(1, (_CHUNK_ON_CPU if device == "cpu" else _CHUNK) // max(choices, 1))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
