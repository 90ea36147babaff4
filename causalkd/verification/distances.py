"""Do exchanges lead to states a model would never be in? How far exchanged states are from clean ones.

A state is a row's last hidden states, averaged over its real positions and measured in standard deviations of each
coordinate over the clean states. How far a state is from a set of states is its distance from the nearest of them. Its
own base and source are no part of that set, so an exchange that changes nothing is exactly as far away as its base.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causalkd.alignment.sites import ResolvedSite
from causalkd.data.batch import Batch
from causalkd.models.hooked import HookedModel
from causalkd.models.run import Inputs
from causalkd.verification.cells import Side
from causalkd.verification.exchanges import Exchange, Exchanges
from causalkd.verification.findings import DistanceRow
from causalkd.verification.observing import Observed, observe

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
    found = Distances({pair: Side(tuple(places), pair) for pair, places in sites.items()}, name=name, seed=seed)
    observe([Observed(model, found)], batches)
    return found.rows()


class Distances:
    """Observes a model at one side for each site pair, by the pair's name; holds a state of each pair of rows."""

    def __init__(self, declared: Mapping[str, Side], *, name: str, seed: int | None = None) -> None:
        self._declared, self._name, self._seed = declared, name, seed
        self.sides = set(declared.values())
        self._clean: dict[_Key, Tensor] = {}
        self._involved: list[tuple[_Key, _Key]] = []
        self._exchanged: dict[Side, list[Tensor]] = {side: [] for side in self.sides}

    def begin(self, exchanges: Exchanges) -> None:
        """Takes the states of the bases."""
        batch, base = exchanges.batch, exchanges.base
        assert batch.source is not None
        bases = _keys(batch.inputs)
        self._involved += zip(bases, _keys(batch.source), strict=True)
        self._clean |= zip(bases, _states(base.hidden, batch.inputs["attention_mask"]), strict=True)

    def note(self, exchange: Exchange) -> None:
        """Takes the exchanged states."""
        real = exchange.exchanges.batch.inputs["attention_mask"]
        self._exchanged[exchange.side].append(_states(exchange.answer.hidden, real))

    def rows(self) -> tuple[DistanceRow, ...]:
        """One for each site pair; none for fewer than four different bases."""
        if len(self._clean) < _FEWEST:
            return ()
        own = _own(self._involved, list(self._clean))
        pool = torch.stack(list(self._clean.values()))
        compared = {side: _compared(pool, torch.cat(states), own) for side, states in self._exchanged.items()}
        pairs = len(self._involved)
        return tuple(
            DistanceRow(self._name, self._seed, pair, *compared[side], pairs) for pair, side in self._declared.items()
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


def _states(hidden: Float[Tensor, "batch pos width"], mask: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch width"]:
    real = mask.to(hidden)
    return (torch.einsum("bpw,bp->bw", hidden, real) / real.sum(1, keepdim=True)).double().cpu()


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
