"""Do exchanges lead to states a model would never be in? How far exchanged states are from clean ones.

A state is a row's last hidden states, averaged over its real positions and measured in standard deviations of each
coordinate over the clean states. How far a state is from a set of states is its distance from the nearest of them. Its
own base and source are no part of that set, so an exchange that changes nothing is exactly as far away as its base.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from causalkd.alignment.sites import ResolvedSite
from causalkd.data.batch import Batch
from causalkd.models.hooked import HookedModel
from causalkd.models.modes import evaluating
from causalkd.models.run import Inputs, Run
from causalkd.verification.cells import Side
from causalkd.verification.exchanges import Exchanges
from causalkd.verification.findings import DistanceRow

_FEWEST = 4
_BEYOND = 0.95
_Key = tuple[int, ...]


def distances(
    model: HookedModel,
    sites: Mapping[str, Sequence[ResolvedSite]],
    batches: Sequence[Batch],
    *,
    name: str,
    seed: int | None = None,
) -> tuple[DistanceRow, ...]:
    """How far exchanged states are from clean ones, for each site pair; none for fewer than four different bases.

    Costs a base and a source run and a counterfactual for every pair, and memory for a state of each pair of rows.

    Args:
        model: Teacher or student.
        sites: Its sites of each site pair, by the pair's name.
        batches: Held-out pairs with separate sources.
        name: Of the model, in the rows.
        seed: Of the model, in the rows.
    """
    sides = [Side(pair, tuple(places), pair) for pair, places in sites.items()]
    clean: dict[_Key, Tensor] = {}
    involved: list[tuple[_Key, _Key]] = []
    exchanged: dict[str, list[Tensor]] = {side.name: [] for side in sides}
    with torch.no_grad(), evaluating([model]):
        for batch in batches:
            assert batch.source is not None
            exchanges = Exchanges.of(model, sides, batch.to(model.model.device))
            bases = _keys(batch.inputs)
            involved += zip(bases, _keys(batch.source), strict=True)
            clean |= zip(bases, _states(exchanges.base), strict=True)
            for side in sides:
                exchanged[side.name].append(_states(exchanges.run(side)))
    if len(clean) < _FEWEST:
        return ()
    own = _own(involved, list(clean))
    pool = torch.stack(list(clean.values()))
    return tuple(
        DistanceRow(name, seed, pair, *_compared(pool, torch.cat(states), own), len(involved))
        for pair, states in exchanged.items()
    )


def _keys(inputs: Inputs) -> list[_Key]:
    """The real tokens of every row: equal rows are one state."""
    ids, masks = inputs["input_ids"].cpu(), inputs["attention_mask"].cpu().bool()
    return [tuple(row[mask].tolist()) for row, mask in zip(ids, masks, strict=True)]


def _own(involved: Sequence[tuple[_Key, _Key]], clean: Sequence[_Key]) -> Bool[Tensor, "pair row"]:
    """Which clean rows are the base or the source of each pair."""
    number = {key: place for place, key in enumerate(clean)}
    places = torch.tensor([[number[base], number.get(source, number[base])] for base, source in involved])
    return torch.zeros(len(involved), len(clean), dtype=torch.bool).scatter(1, places, True)


def _states(run: Run) -> Float[Tensor, "batch width"]:
    real = run.inputs["attention_mask"].to(run.hidden)
    return (torch.einsum("bpw,bp->bw", run.hidden, real) / real.sum(1, keepdim=True)).double().cpu()


def _compared(
    clean: Float[Tensor, "row width"], exchanged: Float[Tensor, "pair width"], own: Bool[Tensor, "pair row"]
) -> tuple[float, float, float]:
    """Medians of the distances of clean and of exchanged states, and the share of these beyond most of the clean."""
    unit = clean.std(0).clamp_min(1e-12)
    before = _nearest(clean / unit, clean / unit, torch.eye(len(clean), dtype=torch.bool))
    after = _nearest(exchanged / unit, clean / unit, own)
    beyond = (after > before.quantile(_BEYOND)).double().mean()
    return float(before.median()), float(after.median()), float(beyond)


def _nearest(
    states: Float[Tensor, "state width"], others: Float[Tensor, "row width"], left_out: Bool[Tensor, "state row"]
) -> Float[Tensor, "state"]:
    # Exactly, not by products: those round distances near zero away.
    apart = torch.cdist(states, others, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.masked_fill(left_out, torch.inf).amin(1)
