"""The faithfulness of a map: how a prediction changes when the tokens that the map ranks are removed.

    AOPC(order) = mean over j of  F(x) − F(x without the first j portions of the order)

F is a view's probability (for a regression, its number). Removing what the map scores highest first gives its
*comprehensiveness*, which should be high; removing what it scores lowest first its *sufficiency*, which should be low
(DeYoung et al. 2020, arXiv 1911.03429). Neither compares across models, because how far a prediction can fall depends
on the model. Normalised AOPC does (Edin et al. 2024, arXiv 2408.08137):

    NAOPC = (AOPC − lower) / (upper − lower),   the lowest and the highest AOPC of any order of this text's tokens

Differs from the paper: tokens go in portions rather than one by one. For texts with at most six removable tokens the
two extremes are exact. For longer texts they come from a greedy search (a beam of one) and from every other order that
was tried, the map's own included, so NAOPC lies between 0 and 1.

A removed token is hidden from attention: no other position reads it. Unlike a mask or padding token this inserts
nothing that has a meaning of its own, is the same for every architecture, and leaves the other tokens where they are
(OPT counts its positions by the attention mask and closes the gap). Never removed are the first and the last token of a
text and special tokens, from which heads read and where attention rests, and for a per-token view the position that
predicts it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from causalkd.attribution.agreement import random_scores
from causalkd.attribution.removal import Removal, counts_of
from causalkd.attribution.targets import Views
from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.forward import Inputs
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import complete
from causalkd.models.vocabularies import entries_without_text

_ROUNDING = 4
"""Two orders that differ by at most this many units in the last place of a prediction count as equal."""


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """AOPCs of every view and row, in units of probability (for a regression, of its number).

    They are NaN for a row without a token that can be removed.

    Attributes:
        comprehensiveness: The AOPC of the map's order, most important first; NaN where a score is.
        sufficiency: The AOPC of the opposite order; NaN where a score is.
        random: The mean over random orders: what either would be by chance.
        lower: The lowest AOPC that was found; for few tokens the lowest of all orders.
        upper: The highest AOPC that was found; `lower` if the two differ by rounding alone.
    """

    comprehensiveness: Float[Tensor, "view batch"]
    sufficiency: Float[Tensor, "view batch"]
    random: Float[Tensor, "view batch"]
    lower: Float[Tensor, "view batch"]
    upper: Float[Tensor, "view batch"]

    def normalised(self, aopc: Float[Tensor, "view batch"]) -> Float[Tensor, "view batch"]:
        """NAOPC of one of the AOPCs: 0 at the lowest, 1 at the highest; NaN where no order makes a difference."""
        reach = self.upper - self.lower
        return ((aopc - self.lower) / reach).where(reach > 0, torch.nan)

    @classmethod
    def join(cls, parts: Sequence["Faithfulness"]) -> "Faithfulness":
        """Several batches, concatenated."""
        return cls(*(torch.cat(each, dim=1) for each in zip(*map(_fields, parts), strict=True)))


def faithfulness(
    model: HookedModel,
    inputs: Inputs,
    views: Views,
    scores: Float[Tensor, "view batch pos"],
    *,
    generator: torch.Generator,
    portions: int = 10,
    random_orders: int = 5,
    positions: int = 2**16,
) -> Faithfulness:
    """The fall of each view's prediction as tokens are removed in the order of its scores.

    Costs, for each view and row of n tokens, (2 + `random_orders`) · portions forwards of its text and about
    n · portions more for the extremes, in at most `portions` + 2 calls of the model if texts are of similar length, and
    in more if they are not, or exceed `positions`.

    Args:
        model: The model that is explained.
        inputs: A batch.
        views: The outputs that are explained.
        scores: The map, such as `AttributionMap.scores`; only their order matters.
        generator: Draws the random orders for all texts together, so those of a text depend on its batch.
        portions: The number of equal portions of a text's tokens; one token each if there are fewer.
        random_orders: The number of random orders to try.
        positions: The largest number of positions of one forward pass, padding included; a text is never divided.

    Raises:
        ValueError: The number of portions or of random orders is below 1, or the scores are of other views or inputs.
    """
    check_portions(portions, random_orders)
    inputs = complete(inputs)
    wanted = (len(views.choice), *inputs["input_ids"].shape)
    if scores.shape != wanted:
        raise ValueError(f"scores have shape {tuple(scores.shape)}; of these views and inputs a map has {wanted}")
    shape, can_go = scores.shape[:2], removable(model, inputs, views).flatten(0, 1)
    removal = Removal(model, inputs, views, can_go, counts_of(can_go.sum(-1), portions), positions)
    flat = scores.to(can_go.device).flatten(0, 1)
    ranked = ~(flat.isnan() & can_go).any(-1)
    with torch.no_grad(), evaluating([model]):
        whole = removal.whole()
        orders = [flat, -flat, *(random_scores(flat, generator) for _ in range(random_orders)), *removal.search(whole)]
        aopcs = whole - removal.mean_values(torch.stack([order.double() for order in orders]))
    tried = torch.cat([aopcs[:2].where(ranked, aopcs[2]), aopcs[2:]])  # an order by NaN is none
    lower, upper = tried.aminmax(dim=0)
    rounding = _ROUNDING * torch.finfo(model.model.dtype).eps * whole.abs()
    upper = upper.where(upper - lower > rounding, lower)
    chance = aopcs[2 : 2 + random_orders].mean(0)
    found = (*aopcs[:2].where(ranked, torch.nan), chance, lower, upper)
    return Faithfulness(*(each.unflatten(0, shape) for each in found))


def check_portions(portions: int, random_orders: int) -> None:
    """Refuses settings that leave nothing to measure.

    Raises:
        ValueError: The number of portions or of random orders is below 1.
    """
    if portions < 1 or random_orders < 1:
        raise ValueError(f"portions is {portions} and random_orders {random_orders}; give at least 1 of each")


def removable(model: HookedModel, inputs: Inputs, views: Views) -> Bool[Tensor, "view batch pos"]:
    """The tokens that can be removed: see the top of this file. A causal LM reads none after the view's position."""
    real = complete(inputs)["attention_mask"].bool()
    seen = real.cumsum(1)
    inner = real & (seen > 1) & (seen < seen[:, -1:])
    if model.tokenizer is not None:
        special = torch.tensor(entries_without_text(model.tokenizer), device=real.device)
        inner = inner & ~torch.isin(inputs["input_ids"], special)
    inner = inner.expand(len(views.choice), -1, -1)
    if views.position is None:
        return inner
    at, read = torch.arange(real.shape[1], device=real.device), views.position[:, None]
    return inner & (at < read if model.task == "causal_lm" else at != read)


def _fields(found: Faithfulness) -> tuple[Tensor, ...]:
    return found.comprehensiveness, found.sufficiency, found.random, found.lower, found.upper
