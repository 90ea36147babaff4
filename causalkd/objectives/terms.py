"""The terms of one step: every objective on the base runs; losses of predictions share one pass over the head."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from causalkd.losses.fused import RowLoss, fused_total
from causalkd.losses.predictions import Unprojected
from causalkd.objectives.base import StepContext, Weighted


@runtime_checkable
class PredictionObjective(Protocol):
    """An objective that is a loss of the student's predictions on base, row by row."""

    def row_loss(self, run: StepContext) -> RowLoss | None:
        """The term, not computed yet; None if it is not such a loss for this head."""
        ...


class Terms(NamedTuple):
    """The weighted sum, in its graph, and each unweighted term; those that shared a pass are without a graph."""

    loss: Float[Tensor, ""]
    by_name: Mapping[str, Float[Tensor, ""]]


def terms_of(objectives: Mapping[str, Weighted], run: StepContext) -> Terms:
    """All terms of a step.

    If the student's head can be split, the objectives that compare its predictions on base share one pass over it: its
    logits are computed once, a few rows at a time, and none of them is kept. A term of weight 0 is only logged: it is
    computed apart, so that not even a NaN in it reaches the loss.
    """
    shared: dict[str, RowLoss] = {}
    alone: dict[str, Tensor] = {}
    for name, (_, objective) in objectives.items():
        rows = objective.row_loss(run) if isinstance(objective, PredictionObjective) else None
        if rows is not None and isinstance(rows.student, Unprojected) and objectives[name].weight:
            shared[name] = rows.times(_share(name, objectives[name], run, run.student_run.hidden.dtype))
        else:
            term = _one_number(name, objective(run) if rows is None else rows.value())
            alone[name] = term * _share(name, objectives[name], run, term.dtype)
    weights = {name: objectives[name].weight for name in alone}
    parts = [weights[name] * term if weights[name] else torch.zeros_like(term) for name, term in alone.items()]
    if shared:
        total, found = fused_total(list(shared.values()), [objectives[name].weight for name in shared])
        parts.append(total)
        alone |= dict(zip(shared, found, strict=True))
    return Terms(torch.stack(parts).sum(), {name: alone[name] for name in objectives})


def _one_number(name: str, term: object) -> Float[Tensor, ""]:
    if not isinstance(term, Tensor) or term.ndim:
        found = f"a tensor of shape {tuple(term.shape)}" if isinstance(term, Tensor) else f"a {type(term).__name__}"
        raise ValueError(f"the objective {name} gave {found}; a term is one number, a tensor without dimensions")
    return term


def _share(name: str, weighted: Weighted, run: StepContext, dtype: torch.dtype) -> Tensor | float:
    """The part that this micro-batch's mean has in the mean over all micro-batches of the step."""
    kept = weighted.objective.requirements()
    if run.micro_batches is None or kept.over_micro_batches:
        return 1.0
    return run.micro_batches.share(name, partial(kept.amount, run.student.task), run.batch, dtype)
