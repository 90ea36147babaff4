"""The baselines of `results.baselines` that need another row's source, or the best constant guess."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causalkd.data.batch import Batch
from causalkd.data.positions import Positions
from causalkd.verification.interventions.pair_rows import pair_rows
from causalkd.verification.interventions.predictions import TOLERANCE, Predictions, majority, same


def permuted_rows(
    counts: Int[Tensor, "batch"], same: Bool[Tensor, "batch batch"] | None = None
) -> Int[Tensor, "batch"]:
    """The other row whose source each row receives, with as many intervened positions if there is one.

    Rows of equal count give their sources to each other in a ring. A row whose count is unique joins the ring of the
    next higher count (the highest one that of the next lower). If the row that gives its source has a source that
    equals the receiver's own source or base (`same`), the receiver takes another row's giver, and that row takes its
    own, if both are then valid.

    Args:
        counts: The number of intervened positions of each row.
        same: Whether the source of another row equals a row's own source or its base, so that it is not another one.

    Raises:
        ValueError: There is only one row.
    """
    if len(counts) < 2:
        raise ValueError("one row has no other row to take a source from; give batches of at least 2 rows")
    order = counts.argsort(stable=True)
    sizes = counts[order].unique_consecutive(return_counts=True)[1].tolist()
    rings: list[list[int]] = []
    rest = order.tolist()
    for size in sizes:
        ring, rest = rest[:size], rest[size:]
        if rings and len(rings[-1]) == 1:
            rings[-1].extend(ring)
        else:
            rings.append(ring)
    if len(rings[-1]) == 1:
        last = rings.pop()
        rings[-1].extend(last)
    source_rows = torch.empty_like(counts)
    for ring in rings:
        source_rows[ring] = torch.tensor(ring[1:] + ring[:1], device=counts.device)
    return source_rows if same is None else _without_equal_sources(source_rows, counts, same)


def same_sources(batch: Batch) -> Bool[Tensor, "batch batch"]:
    """Whether the source of the second row is the source or the base of the first row; see `pair_rows`."""
    base, source = torch.from_numpy(pair_rows(batch).astype(np.int64))
    return (source == source[:, None]) | (source == base[:, None])


def _without_equal_sources(
    source_rows: Int[Tensor, "batch"], counts: Int[Tensor, "batch"], same: Bool[Tensor, "batch batch"]
) -> Int[Tensor, "batch"]:
    if not same[torch.arange(len(same)), source_rows.cpu()].any():
        return source_rows
    given, size = source_rows.tolist(), counts.tolist()
    barred = (same | torch.eye(len(given), dtype=torch.bool, device=same.device)).tolist()
    for row, own in enumerate(given):
        if barred[row][own]:
            others = [other for other in range(len(given)) if not (barred[row][given[other]] or barred[other][own])]
            if others:
                other = min(others, key=lambda each: size[given[each]] != size[own])
                given[row], given[other] = given[other], own
    return torch.tensor(given, device=counts.device)


def permuted_positions(positions: Positions, source_positions: Positions) -> Positions:
    """A row's base positions with the source positions of the row that gives its source.

    The k-th is paired with the k-th. If the counts differ, only as many are intervened on as both rows have, so the
    student then receives less than the teacher did.
    """
    positions, source_positions = _filler_last(positions), _filler_last(source_positions)
    width = min(positions.valid.shape[1], source_positions.valid.shape[1])
    valid = positions.valid[:, :width] & source_positions.valid[:, :width]
    base, source = positions.base[:, :width], source_positions.source[:, :width]
    return Positions(base.where(valid, 0), source.where(valid, 0), valid)


def modal_matches(
    choice: Tensor, effective: Float[Tensor, "item"], tolerance: float = TOLERANCE
) -> tuple[Tensor, Tensor]:
    """Which items a constant guess predicts correctly: the best guess over all items, and the best over effective
    ones.

    Args:
        choice: The teacher's counterfactual choice of each item.
        effective: 1 where an item is effective, otherwise 0.
        tolerance: The largest difference of two numbers that count as the same prediction.
    """
    over_all = same(choice, majority(choice, tolerance), tolerance).float()
    chosen = choice[effective.bool()]
    if not len(chosen):
        return over_all, torch.zeros_like(over_all)
    over_effective = same(choice, majority(chosen, tolerance), tolerance).float()
    return over_all, over_effective * effective


def as_many(name: str, given: Any, like: Predictions) -> Predictions:
    """Checks the predictions of a baseline, which may be registered by a user: as many items as `like`.

    Raises:
        ValueError: The baseline gave something else.
    """
    if isinstance(given, Predictions) and given.choice.shape == like.choice.shape:
        return given
    what = f"{len(given.choice)} predictions" if isinstance(given, Predictions) else f"{given!r:.80}"
    raise ValueError(f"the `predict` of baseline {name!r} gave {what}; it must give the {len(like.choice)} Predictions")


def _filler_last(positions: Positions) -> Positions:
    order = (~positions.valid).to(torch.uint8).argsort(dim=1, stable=True)
    base, source, valid = (part.gather(1, order) for part in (positions.base, positions.source, positions.valid))
    return Positions(base, source, valid)
