"""Do interventions lead to states that a model never has? The distance of counterfactual states from clean ones.

A state is a row's last hidden states, averaged over its real positions and measured in standard deviations of each
coordinate over the clean states. The distance of a state from a set of states is that from the nearest of them. Its
own base and source are left out of that set, so an intervention that changes nothing is exactly as far as its base.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.data.batch import Batch
from causalkd.models.hooks.forward import Inputs
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.counterfactuals import Intervened, ModelPass
from causalkd.verification.interventions.passes import Metric, ObservedModel, run_passes
from causalkd.verification.interventions.plan import Intervention
from causalkd.verification.results.rows import DistanceRow

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
    """The distance of counterfactual states from clean ones, per site pair; empty for fewer than four different
    bases.

    Costs a base and a source run and a counterfactual for every pair, and memory for a state of each pair of rows.

    Args:
        model: The teacher or a student.
        sites: The model's sites of each site pair, by the pair's name.
        batches: Held-out pairs with separate sources.
        name: Name of the model, in the rows.
        seed: Seed of the model, in the rows.
    """
    found = Distances({pair: Intervention(tuple(places), pair) for pair, places in sites.items()}, name=name, seed=seed)
    run_passes([ObservedModel(model, found)], batches)
    return found.rows()


@dataclass
class _States:
    """What is known of the batches so far."""

    counterfactual: dict[Intervention, list[Tensor]]
    clean: dict[_Key, Tensor] = field(default_factory=dict)
    """The state of each base, by its tokens."""
    involved: list[tuple[_Key, _Key]] = field(default_factory=list)
    """The base and the source of each pair."""


class Distances(Metric):
    """Observes one intervention for each site pair, by the pair's name; keeps a state of each pair of rows."""

    def __init__(self, declared: Mapping[str, Intervention], *, name: str, seed: int | None = None) -> None:
        self._declared, self._name, self._seed = declared, name, seed
        self.interventions = set(declared.values())
        self.noted = _States({intervention: [] for intervention in self.interventions})

    def start(self, passes: ModelPass) -> None:
        """Adds the states of the bases."""
        batch, base = passes.batch, passes.base
        assert batch.source is not None
        bases = _keys(batch.inputs)
        self.noted.involved += zip(bases, _keys(batch.source), strict=True)
        states = _states(base.hidden, batch.inputs["attention_mask"])
        self.noted.clean |= zip(bases, (state.clone() for state in states), strict=True)

    def update(self, intervene: Intervened) -> None:
        """Adds the counterfactual states."""
        real = intervene.passes.batch.inputs["attention_mask"]
        self.noted.counterfactual[intervene.intervention].append(_states(intervene.answer.hidden, real))

    def rows(self) -> tuple[DistanceRow, ...]:
        """One row for each site pair; empty for fewer than four different bases."""
        clean, involved = self.noted.clean, self.noted.involved
        if len(clean) < _FEWEST:
            return ()
        own = _own(involved, list(clean))
        pool = torch.stack(list(clean.values()))
        compared = {
            intervention: _compared(pool, torch.cat(states), own)
            for intervention, states in self.noted.counterfactual.items()
        }
        return tuple(
            DistanceRow(self._name, self._seed, pair, *compared[intervention], len(involved))
            for pair, intervention in self._declared.items()
        )


def _keys(inputs: Inputs) -> list[_Key]:
    """The real tokens of every row: equal rows have one state."""
    ids, masks = inputs["input_ids"].cpu(), inputs["attention_mask"].cpu().bool()
    return [tuple(row[mask].tolist()) for row, mask in zip(ids, masks, strict=True)]


def _own(involved: Sequence[tuple[_Key, _Key]], clean: Sequence[_Key]) -> Bool[Tensor, "pair row"]:
    """The clean rows that are the base or the source of each pair."""
    number = {key: row for row, key in enumerate(clean)}
    rows = torch.tensor([[number[base], number.get(source, number[base])] for base, source in involved])
    return torch.zeros(len(involved), len(clean), dtype=torch.bool).scatter(1, rows, True)


def _states(hidden: Float[Tensor, "batch pos width"], mask: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch width"]:
    real = mask.to(hidden)
    return (torch.einsum("bpw,bp->bw", hidden, real) / real.sum(1, keepdim=True)).double().cpu()


def _compared(
    clean: Float[Tensor, "row width"], intervened: Float[Tensor, "pair width"], own: Bool[Tensor, "pair row"]
) -> tuple[float, float, float]:
    """Medians of the clean and the counterfactual distances, and the share of the latter beyond 95 % of the clean
    ones.
    """
    unit = clean.std(0).clamp_min(1e-12)
    before = _nearest(clean / unit, clean / unit, torch.eye(len(clean), dtype=torch.bool))
    after = _nearest(intervened / unit, clean / unit, own)
    beyond = (after > before.quantile(_BEYOND)).double().mean()
    return float(before.median()), float(after.median()), float(beyond)


def _nearest(
    states: Float[Tensor, "state width"], others: Float[Tensor, "row width"], left_out: Bool[Tensor, "state row"]
) -> Float[Tensor, "state"]:
    # Computed exactly, not by products, which round small distances to zero.
    apart = torch.cdist(states, others, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.masked_fill(left_out, torch.inf).amin(1)
