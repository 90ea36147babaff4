"""A model against a planted task's own causal model: which place carries which variable?

Here the known answer takes the teacher's part: the truth is what the causal model answers once a variable of base has
the value it has in source. A place carries the variable if exchanging the place gives that answer. A classifier gives
one answer a pair, a causal LM one at each labelled token.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causalkd.data.batch import Batch
from causalkd.models.hooked import HookedModel
from causalkd.models.modes import evaluating
from causalkd.models.run import Inputs
from causalkd.verification.cells import layer_sides
from causalkd.verification.controls import modal_matches
from causalkd.verification.exchanges import Donors, Exchanges
from causalkd.verification.findings import GroundTruthRow
from causalkd.verification.intervals import intervals, shares
from causalkd.verification.report import Control
from causalkd.verification.significance import adjusted, exchange_p

Answers = Int[Tensor, "items"]
CausalModel = Callable[[Sequence[dict], Sequence[dict], str], np.ndarray]
"""Gives the label of each base, or its answers in turn, after a variable takes the value it has in the source, such as
`PlantedNLI().many_counterfactual_labels` and `PlantedLM().many_counterfactual_answers`."""


@dataclass(frozen=True, eq=False)
class KnownAnswers:
    """What the causal model says of some pairs; an item is one answer.

    Attributes:
        pair: The number of the pair that each item belongs to, ascending.
        plain: The answers of the bases.
        counterfactual: By variable, the answers after its exchange.
    """

    pair: Answers
    plain: Answers
    counterfactual: Mapping[str, Answers]

    @classmethod
    def of(cls, causal_model: CausalModel, variables: Sequence[str], batches: Sequence[Batch]) -> "KnownAnswers":
        """Asks the causal model about every pair; the batches have separate sources."""
        bases = [row for batch in batches for row in _rows(batch.inputs)]
        sources = [row for batch in batches for row in _rows(batch.source or {})]
        plain = causal_model(bases, bases, variables[0]).reshape(len(bases), -1)
        counterfactual = {name: torch.from_numpy(causal_model(bases, sources, name)).flatten() for name in variables}
        pair = torch.arange(len(bases)).repeat_interleave(plain.shape[1])
        return cls(pair, torch.from_numpy(plain).flatten(), counterfactual)


def ground_truth(
    model: HookedModel,
    answers: KnownAnswers,
    batches: Sequence[Batch],
    *,
    name: str,
    seed: int | None = None,
    component: str = "block_output",
) -> tuple[GroundTruthRow, ...]:
    """How often exchanging each layer, at the positions of each site pair, does what the causal model says.

    An effective pair is one with an answer that the causal model changes. Costs a base and a source run, and for each
    layer and each way of drawing positions two counterfactuals, whatever the number of variables.

    Args:
        model: A classifier with the labels of the causal model, or a causal LM with its vocabulary.
        answers: Of the same pairs.
        batches: Pairs with separate sources; of a causal LM, the bases are labelled at their answers alone.
        name: Of the model, in the rows.
        seed: Of the model, in the rows.
        component: What is exchanged, whole.

    Raises:
        ValueError: The model predicts elsewhere than the causal model answers, or a batch has no separate sources.
    """
    sides = [side for pair in batches[0].positions for side in layer_sides(model, component, pair).values()]
    plain: list[Tensor] = []
    per_pair: list[Tensor] = []
    exchanged: dict[str, list[Tensor]] = {side.name: [] for side in sides}
    permuted: dict[str, list[Tensor]] = {side.name: [] for side in sides}
    earlier: Donors | None = None  # whose rows donate to a batch of one row
    with torch.no_grad(), evaluating([model]):
        for batch in batches:
            exchanges = Exchanges.of(model, sides, batch.to(model.model.device))
            donors = earlier if len(batch.counted) == 1 and earlier else exchanges.donors
            earlier = exchanges.donors
            base = exchanges.plain()
            plain.append(base.choice)
            per_pair.append(base.row.bincount(minlength=len(batch.counted)))
            for side in sides:
                exchanged[side.name].append(exchanges.counterfactual(side).predictions.choice)
                permuted[side.name].append(exchanges.permuted(side, donors).choice)
    _check(torch.cat(per_pair).cpu(), answers)
    unmoved = torch.cat(plain).cpu()
    found: list[GroundTruthRow] = []
    for variable, truth in answers.counterfactual.items():
        effective = truth != answers.plain
        guessed = modal_matches(truth, effective.float())[1].bool()
        for side in sides:
            right, other = (torch.cat(each[side.name]).cpu() == truth for each in (exchanged, permuted))
            controls: dict[Control, Tensor] = {
                "no_intervention": unmoved == truth,
                "permuted_source": other,
                "modal_class": guessed,
            }
            place = (component, side.sites[0].place.layer, side.positions)
            found.append(_row((name, seed, variable, *place), answers.pair, right, effective, controls))
    adjusted_values = adjusted([row.p_value for row in found])
    return tuple(replace(row, q_value=q) for row, q in zip(found, adjusted_values, strict=True))


def _check(per_pair: Int[Tensor, "pairs"], answers: KnownAnswers) -> None:
    if not torch.equal(per_pair, answers.pair.bincount()):
        raise ValueError(
            f"the model predicts {int(per_pair.sum())} times on these pairs, where the causal model gives "
            f"{len(answers.pair)} answers; label every base at its answers and nowhere else"
        )


def _row(
    key: tuple[str, int | None, str, str, int, str],
    pair: Answers,
    right: Bool[Tensor, "items"],
    effective: Bool[Tensor, "items"],
    controls: Mapping[Control, Bool[Tensor, "items"]],
) -> GroundTruthRow:
    def by_pair(items: Bool[Tensor, "items"]) -> Float[np.ndarray, "pairs"]:
        return np.bincount(pair.numpy(), weights=items.double().numpy())

    counts, matches = by_pair(effective), by_pair(right & effective)
    others = {control: by_pair(other & effective) for control, other in controls.items()}
    (interval,) = intervals(matches[None], counts[None])
    best = max(others.values(), key=np.sum)
    return GroundTruthRow(
        *key,
        iia=float(right.double().mean()),
        iia_effective=_share(matches, counts),
        iia_effective_low=interval and interval.low,
        iia_effective_high=interval and interval.high,
        effective_pairs=int((counts > 0).sum()),
        pairs=len(counts),
        controls={control: _share(other, counts) for control, other in others.items()},
        p_value=exchange_p(matches, best) if interval else None,
    )


def _share(matches: Float[np.ndarray, "pairs"], counts: Float[np.ndarray, "pairs"]) -> float | None:
    return shares(matches[None], counts[None])[0]


def _rows(inputs: Inputs) -> list[dict]:
    """The rows of a batch without their padding."""
    if "input_ids" not in inputs:
        raise ValueError("the pairs have no separate sources; make them with pair_batches")
    ids, masks = inputs["input_ids"].cpu(), inputs["attention_mask"].cpu().bool()
    return [{"input_ids": row[mask].tolist()} for row, mask in zip(ids, masks, strict=True)]
