"""The distance of states after interventions from those without.

It shows whether interventions leave the distribution of a model's states. A state is a row's last hidden states,
averaged over its real positions and measured in standard deviations of each coordinate over the clean states. The
distance of a state from a set of states is that from the nearest of them. Its own base and source are left out of that
set, so an intervention that changes nothing has exactly the distance of its base.

If there are more than 10,000 pairs, or bases, 10,000 are chosen, so that memory and time do not grow with their number:
those with the smallest digests of their tokens, which do not depend on the order or the process.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.data.batch import Batch
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.counterfactuals import Intervened, ModelPass
from causalkd.verification.interventions.pair_rows import digest, row_keys, separate_source
from causalkd.verification.interventions.passes import ObservedModel, Observer, run_passes
from causalkd.verification.interventions.plan import Intervention
from causalkd.verification.results.rows import OffDistributionRow

_FEWEST = 4
_BEYOND = 0.95
_MOST = 10_000
"""The most pairs, and the most bases, that are compared."""
_AT_ONCE = 1 << 24
"""The most distances that are held in memory at once."""
_Key = bytes
"""The digest of a row's tokens."""


def state_distances(
    model: HookedModel,
    sites: Mapping[str, Sequence[ResolvedSite]],
    batches: Sequence[Batch],
    *,
    name: str,
    seed: int | None = None,
) -> tuple[OffDistributionRow, ...]:
    """The distance of counterfactual states from clean ones, per site pair; empty for fewer than four different
    bases.

    Costs a base and a source run and a counterfactual for every pair, and memory for a state of each pair of rows and
    each row, at most 20,000 of both.

    Args:
        model: The teacher or a student.
        sites: The model's sites of each site pair, by the pair's name.
        batches: Held-out pairs with separate sources.
        name: Name of the model, in the rows.
        seed: Seed of the model, in the rows.

    Raises:
        ValueError: There are no batches, or they have no separate sources.
    """
    interventions = {pair: Intervention(tuple(each), pair) for pair, each in sites.items()}
    found = OffDistribution(interventions, name=name, seed=seed)
    run_passes([ObservedModel(model, found)], batches)
    return found.rows()


@dataclass
class _States:
    """The states of the batches so far."""

    counterfactual: dict[Intervention, list[Tensor]]
    clean: dict[_Key, Tensor] = field(default_factory=dict)
    """The state of each base."""
    involved: list[tuple[_Key, _Key]] = field(default_factory=list)
    """The base and the source of each pair."""

    def thinned(self) -> "_States":
        """The states of at most `_MOST` pairs and bases, in their order."""
        rows = _least([digest(base + source) for base, source in self.involved])
        keys = list(self.clean)
        return _States(
            {intervention: [torch.cat(states)[rows]] for intervention, states in self.counterfactual.items()},
            {keys[number]: self.clean[keys[number]] for number in _least(keys)},
            [self.involved[row] for row in rows],
        )


class OffDistribution(Observer):
    """The observer of one intervention for each site pair, by the pair's name; it keeps states of pairs and of rows."""

    def __init__(self, declared: Mapping[str, Intervention], *, name: str, seed: int | None = None) -> None:
        self._declared, self._name, self._seed = declared, name, seed
        self.interventions = set(declared.values())
        self.noted = _States({intervention: [] for intervention in self.interventions})

    def start(self, passes: ModelPass) -> None:
        """Adds the states of the bases."""
        batch, base = passes.batch, passes.base
        bases, sources = row_keys(batch.inputs), row_keys(separate_source(batch, "the distance of states"))
        self.noted.involved += zip(bases, sources, strict=True)
        states = _states(base.hidden, batch.inputs["attention_mask"])
        self.noted.clean |= zip(bases, (state.clone() for state in states), strict=True)

    def update(self, intervene: Intervened) -> None:
        """Adds the counterfactual states."""
        real = intervene.passes.batch.inputs["attention_mask"]
        self.noted.counterfactual[intervene.intervention].append(_states(intervene.counterfactual.hidden, real))

    def finish(self) -> None:
        """Drops states once there are twice as many as are compared."""
        if max(len(self.noted.involved), len(self.noted.clean)) > 2 * _MOST:
            self.noted = self.noted.thinned()

    def rows(self) -> tuple[OffDistributionRow, ...]:
        """One row for each site pair; empty for fewer than four different bases."""
        noted = self.noted.thinned()
        clean, involved = noted.clean, noted.involved
        if len(clean) < _FEWEST:
            return ()
        own = _own(involved, list(clean))
        pool = torch.stack(list(clean.values()))
        compared = {
            intervention: _compared(pool, torch.cat(states), own)
            for intervention, states in noted.counterfactual.items()
        }
        return tuple(
            OffDistributionRow(self._name, self._seed, pair, *compared[intervention], len(involved))
            for pair, intervention in self._declared.items()
        )


def _least(digests: Sequence[bytes]) -> list[int]:
    """The numbers, ascending, of the `_MOST` smallest digests; of equal ones the first."""
    return sorted(sorted(range(len(digests)), key=lambda number: digests[number])[:_MOST])


def _own(involved: Sequence[tuple[_Key, _Key]], clean: Sequence[_Key]) -> Int[Tensor, "pair 2"]:
    """The clean rows that are the base and the source of each pair; -1 where there is none."""
    number = {key: row for row, key in enumerate(clean)}
    return torch.tensor([[number.get(key, -1) for key in pair] for pair in involved])


def _states(hidden: Float[Tensor, "batch pos width"], mask: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch width"]:
    real = mask.to(hidden)
    return (torch.einsum("bpw,bp->bw", hidden, real) / real.sum(1, keepdim=True)).double().cpu()


def _compared(
    clean: Float[Tensor, "row width"], intervened: Float[Tensor, "pair width"], own: Int[Tensor, "pair 2"]
) -> tuple[float, float, float]:
    """Medians of the clean and the counterfactual distances, and the share of the latter beyond 95 % of the clean
    ones.
    """
    unit = clean.std(0).clamp_min(1e-12)
    before = _nearest(clean / unit, clean / unit, torch.arange(len(clean))[:, None])
    after = _nearest(intervened / unit, clean / unit, own)
    beyond = (after > before.quantile(_BEYOND)).double().mean()
    return float(before.median()), float(after.median()), float(beyond)


def _nearest(
    states: Float[Tensor, "state width"], others: Float[Tensor, "row width"], left_out: Int[Tensor, "state few"]
) -> Float[Tensor, "state"]:
    """The distance of each state from the nearest of the others, without those numbered in `left_out` (-1: none)."""
    found, rows = [], torch.arange(len(others))
    for some, own in zip(*(each.split(max(_AT_ONCE // len(others), 1)) for each in (states, left_out)), strict=True):
        # Not by matrix products, which would round small distances to zero.
        apart = torch.cdist(some, others, compute_mode="donot_use_mm_for_euclid_dist")
        found.append(apart.masked_fill((own[..., None] == rows).any(1), torch.inf).amin(1))
    return torch.cat(found)
