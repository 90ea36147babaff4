"""The comparison of a model with a planted task's own causal model, which shows the variables of each hook point.

The causal model replaces the teacher: the reference is its prediction when a variable of base is given its value in
source. A hook point carries the variable if intervening on it gives that prediction. A classifier makes one prediction
per pair, a causal LM one at each labelled token.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causalkd.data.batch import Batch
from causalkd.models.hooks.forward import Inputs
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.baselines import modal_matches
from causalkd.verification.interventions.counterfactuals import Intervened, ModelPass
from causalkd.verification.interventions.pair_rows import PairRows, check_given, pair_rows, shared_rows
from causalkd.verification.interventions.passes import ObservedModel, Observer, run_passes
from causalkd.verification.interventions.plan import Intervention, check_component, layer_interventions
from causalkd.verification.measures.pair_numbers import Packed, PairNumbers, joined, pack
from causalkd.verification.results.report import BaselineName
from causalkd.verification.results.rows import GroundTruthRow
from causalkd.verification.statistics.intervals import Shared, intervals, shares
from causalkd.verification.statistics.permutation import benjamini_hochberg, paired_permutation_p

LabelPredictions = Int[Tensor, "items"]
CausalModel = Callable[[Sequence[dict], Sequence[dict], str], np.ndarray]
"""A function from bases, sources and a variable to the label of each base, or its answers in order, after the variable
has taken its value in source; such as `PlantedNLI().many_counterfactual_labels` and
`PlantedLM().many_counterfactual_answers`."""


@dataclass(frozen=True, eq=False)
class KnownAnswers:
    """The causal model's predictions for some pairs; an item is one prediction.

    Attributes:
        pair: The number of the pair that each item belongs to, ascending.
        plain: The predictions for the bases.
        counterfactual: By variable, the predictions after the intervention on it.
    """

    pair: LabelPredictions
    plain: LabelPredictions
    counterfactual: Mapping[str, LabelPredictions]

    @classmethod
    def of(cls, causal_model: CausalModel, variables: Sequence[str], batches: Sequence[Batch]) -> "KnownAnswers":
        """Run the causal model on every pair; the batches have separate sources."""
        plain: list[Tensor] = []
        counterfactual: dict[str, list[Tensor]] = {name: [] for name in variables}
        for batch in batches:
            bases, sources = _rows(batch.inputs), _rows(batch.source or {})
            plain.append(torch.from_numpy(causal_model(bases, bases, variables[0])).reshape(len(bases), -1))
            for name, found in counterfactual.items():
                found.append(torch.from_numpy(causal_model(bases, sources, name)).flatten())
        answers = torch.cat(plain)
        pair = torch.arange(len(answers)).repeat_interleave(answers.shape[1])
        return cls(pair, answers.flatten(), {name: torch.cat(found) for name, found in counterfactual.items()})

    def in_label_order(self, own: Sequence[str], names: Sequence[str]) -> "KnownAnswers":
        """The same predictions, numbered by `names` instead of `own`: a model's labels may be in another order."""
        if not own or tuple(own) == tuple(names):
            return self
        known = [name.casefold() for name in names]
        number = torch.tensor([known.index(name.casefold()) for name in own])
        after = {variable: number[found] for variable, found in self.counterfactual.items()}
        return KnownAnswers(self.pair, number[self.plain], after)


def ground_truth(
    model: HookedModel,
    answers: KnownAnswers,
    batches: Sequence[Batch],
    *,
    name: str,
    seed: int | None = None,
    component: str = "block_output",
) -> tuple[GroundTruthRow, ...]:
    """The share of interventions at each layer, at each site pair's positions, that give the causal model's prediction.

    An effective pair is one on which the causal model's prediction changes. Costs a base and a source run, and for each
    layer and each position policy two counterfactuals, whatever the number of variables.

    Args:
        model: A classifier with the labels of the causal model, or a causal LM with its vocabulary.
        answers: The causal model's predictions for the same pairs.
        batches: Pairs with separate sources; for a causal LM, the bases are labelled only at their answers.
        name: The name of the model, in the rows.
        seed: The seed of the model, in the rows.
        component: The whole component that is intervened on.

    Raises:
        ValueError: The model and the causal model predict at different positions, the model has no such component, or
            there are no batches.
    """
    check_given(batches, "a comparison with the causal model")
    check_component(model, component)
    names = {pair: pair for pair in batches[0].positions}
    found = GroundTruth(model, answers, names, name=name, seed=seed, component=component)
    run_passes([ObservedModel(model, found)], batches)
    return found.rows()


@dataclass
class _Notes:
    """The notes on the batches so far; a list has an entry for each batch, see `pack`."""

    choices: list[Packed] = field(default_factory=list)
    """The model's choices for the bases; then, for each intervention, those after it and with another row's source."""
    per_pair: list[Packed] = field(default_factory=list)
    """The number of the model's predictions on each pair."""
    rows: list[PairRows] = field(default_factory=list)
    """The base and the source of each pair."""


class GroundTruth(Observer):
    """The observer of a model in every layer, at the positions of each site pair.

    Args:
        model: A classifier with the labels of the causal model, or a causal LM with its vocabulary.
        answers: The causal model's predictions for the pairs that will be seen.
        positions: For each site pair by name, the pair whose positions are used for it; see `pairs_of_positions`.
        name: The name of the model, in the rows.
        seed: The seed of the model, in the rows.
        component: The whole component that is intervened on.
    """

    def __init__(
        self,
        model: HookedModel,
        answers: KnownAnswers,
        positions: Mapping[str, str],
        *,
        name: str,
        seed: int | None = None,
        component: str = "block_output",
    ) -> None:
        self._answers, self._name, self._seed, self._component = answers, name, seed, component
        self._by_layer = {
            (layer, pair): intervention
            for pair, drawn in positions.items()
            for layer, intervention in layer_interventions(model, component, drawn).items()
        }
        self.interventions = dict.fromkeys(self._by_layer.values())
        self.noted = _Notes()
        self._now: dict[Intervention | None, tuple[Tensor, ...]] = {}

    def start(self, passes: ModelPass) -> None:
        """Keeps the model's choices for the bases."""
        self._now = {None: (passes.plain.choice,)}
        counts = passes.plain.row.bincount(minlength=len(passes.batch.counted))
        self.noted.per_pair.append(pack(counts[None].cpu().numpy()))
        self.noted.rows.append(pair_rows(passes.batch))

    def update(self, intervene: Intervened) -> None:
        """Keeps the choices after an intervention, and with another row's source."""
        self._now[intervene.intervention] = (intervene.counterfactual.predictions.choice, intervene.permuted.choice)

    def finish(self) -> None:
        """Packs the choices of the batch."""
        made = (choice for each in (None, *self.interventions) for choice in self._now[each])
        self.noted.choices.append(pack(np.stack([choice.cpu().numpy() for choice in made])))

    def rows(self) -> tuple[GroundTruthRow, ...]:
        """One row for each variable, site pair and layer.

        Raises:
            ValueError: The model and the causal model predict at different positions.
        """
        _check(_list(joined(self.noted.per_pair), 0), self._answers)
        choices, numbers = joined(self.noted.choices), {each: 2 * n + 1 for n, each in enumerate(self.interventions)}
        unmoved, shared = _list(choices, 0), shared_rows(self.noted.rows)
        found: list[GroundTruthRow] = []
        for variable, wanted in self._answers.counterfactual.items():
            effective = wanted != self._answers.plain
            guessed = modal_matches(wanted, effective.float())[1].bool()
            for (layer, pair), intervention in self._by_layer.items():
                number = numbers[intervention]
                right, other = (_list(choices, each) == wanted for each in (number, number + 1))
                baselines: dict[BaselineName, Tensor] = {
                    "no_intervention": unmoved == wanted,
                    "permuted_source": other,
                    "majority_class": guessed,
                }
                key = (self._name, self._seed, variable, self._component, layer, pair)
                found.append(_row(key, self._answers.pair, right, effective, baselines, shared))
        adjusted_values = benjamini_hochberg([row.p_value for row in found])
        return tuple(replace(row, q_value=q) for row, q in zip(found, adjusted_values, strict=True))


def _list(packed: Packed, number: int) -> Int[Tensor, "numbers"]:
    return torch.from_numpy(PairNumbers(packed, number).values)


def _check(per_pair: Int[Tensor, "pairs"], answers: KnownAnswers) -> None:
    if not torch.equal(per_pair, answers.pair.bincount()):
        raise ValueError(
            f"the model makes {int(per_pair.sum())} predictions on these pairs, but the causal model gives "
            f"{len(answers.pair)} answers; label every base at its answers and nowhere else"
        )


def _row(
    key: tuple[str, int | None, str, str, int, str],
    pair: LabelPredictions,
    right: Bool[Tensor, "items"],
    effective: Bool[Tensor, "items"],
    baselines: Mapping[BaselineName, Bool[Tensor, "items"]],
    shared: Shared,
) -> GroundTruthRow:
    counts, matches = _by_pair(pair, effective), _by_pair(pair, right & effective)
    others = {baseline: _by_pair(pair, other & effective) for baseline, other in baselines.items()}
    (interval,) = intervals(matches[None], counts[None], shared)
    best = max(others.values(), key=np.sum)
    return GroundTruthRow(
        *key,
        iia=float(right.double().mean()),
        iia_effective=_share(matches, counts),
        iia_effective_low=interval and interval.low,
        iia_effective_high=interval and interval.high,
        effective_pairs=int((counts > 0).sum()),
        pairs=len(counts),
        baselines={baseline: _share(other, counts) for baseline, other in others.items()},
        p_value=paired_permutation_p(matches, best, shared) if interval else None,
    )


def _by_pair(pair: LabelPredictions, items: Bool[Tensor, "items"]) -> Float[np.ndarray, "pairs"]:
    return np.bincount(pair.numpy(), weights=items.double().numpy())


def _share(matches: Float[np.ndarray, "pairs"], counts: Float[np.ndarray, "pairs"]) -> float | None:
    return shares(matches[None], counts[None])[0]


def _rows(inputs: Inputs) -> list[dict]:
    """The rows of a batch without their padding."""
    if "input_ids" not in inputs:
        raise ValueError("the pairs have no separate sources; make them with pair_batches")
    ids, masks = inputs["input_ids"].cpu(), inputs["attention_mask"].cpu().bool()
    return [{"input_ids": row[mask].tolist()} for row, mask in zip(ids, masks, strict=True)]
