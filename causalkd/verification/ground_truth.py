"""A model against a planted task's own causal model: which place carries which variable?

Here the known answer takes the teacher's part: the truth is the label that the causal model gives once a variable of
base has the value it has in source. A place carries the variable if exchanging the place gives that label.
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

Predicted = Int[Tensor, "pairs"]


CausalModel = Callable[[dict, dict, str], int]
"""Gives the label of base after a variable takes its value in source, such as `PlantedNLI().counterfactual_label`."""


@dataclass(frozen=True, eq=False)
class KnownAnswers:
    """What the causal model says of some pairs.

    Attributes:
        plain: The labels of the bases.
        counterfactual: By variable, the labels after its exchange.
    """

    plain: Predicted
    counterfactual: Mapping[str, Predicted]

    @classmethod
    def of(cls, causal_model: CausalModel, variables: Sequence[str], batches: Sequence[Batch]) -> "KnownAnswers":
        """Asks the causal model about every pair; the batches have separate sources."""
        pairs = [pair for batch in batches for pair in zip(_rows(batch.inputs), _rows(batch.source or {}), strict=True)]

        def ask(variable: str, own: bool = False) -> Predicted:
            given = [(base, base if own else source) for base, source in pairs]
            return torch.tensor([causal_model(*pair, variable) for pair in given])

        return cls(ask(variables[0], own=True), {variable: ask(variable) for variable in variables})


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

    An effective pair is one whose label the causal model changes. Costs a base and a source run, and for each layer and
    each way of drawing positions two counterfactuals, whatever the number of variables.

    Args:
        model: A classifier with the labels of the causal model.
        answers: Of the same pairs.
        batches: Pairs with separate sources.
        name: Of the model, in the rows.
        seed: Of the model, in the rows.
        component: What is exchanged, whole.
    """
    sides = [side for pair in batches[0].positions for side in layer_sides(model, component, pair).values()]
    plain: list[Tensor] = []
    exchanged: dict[str, list[Tensor]] = {side.name: [] for side in sides}
    permuted: dict[str, list[Tensor]] = {side.name: [] for side in sides}
    earlier: Donors | None = None  # whose rows donate to a batch of one row
    with torch.no_grad(), evaluating([model]):
        for batch in batches:
            exchanges = Exchanges.of(model, sides, batch.to(model.model.device))
            donors = earlier if len(batch.counted) == 1 and earlier else exchanges.donors
            earlier = exchanges.donors
            plain.append(exchanges.plain().choice)
            for side in sides:
                exchanged[side.name].append(exchanges.counterfactual(side).predictions.choice)
                permuted[side.name].append(exchanges.permuted(side, donors).choice)
    base = torch.cat(plain).cpu()
    found: list[GroundTruthRow] = []
    for variable, truth in answers.counterfactual.items():
        effective = truth != answers.plain
        guessed = modal_matches(truth, effective.float())[1].bool()
        for side in sides:
            right, other = (torch.cat(each[side.name]).cpu() == truth for each in (exchanged, permuted))
            controls: dict[Control, Tensor] = {
                "no_intervention": base == truth,
                "permuted_source": other,
                "modal_class": guessed,
            }
            place = (component, side.sites[0].place.layer, side.positions)
            found.append(_row((name, seed, variable, *place), right, effective, controls))
    adjusted_values = adjusted([row.p_value for row in found])
    return tuple(replace(row, q_value=q) for row, q in zip(found, adjusted_values, strict=True))


def _row(
    key: tuple[str, int | None, str, str, int, str],
    right: Bool[Tensor, "pairs"],
    effective: Bool[Tensor, "pairs"],
    controls: Mapping[Control, Bool[Tensor, "pairs"]],
) -> GroundTruthRow:
    counts, matches = (part.double().numpy() for part in (effective, right & effective))
    others = {control: (other & effective).double().numpy() for control, other in controls.items()}
    (interval,) = intervals(matches[None], counts[None])
    best = max(others.values(), key=np.sum)
    return GroundTruthRow(
        *key,
        iia=float(right.double().mean()),
        iia_effective=_share(matches, counts),
        iia_effective_low=interval and interval.low,
        iia_effective_high=interval and interval.high,
        effective_pairs=int(counts.sum()),
        pairs=len(right),
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
