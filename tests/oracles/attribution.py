"""Maps and their faithfulness one forward after the other: a step of a path, an order, a direction at a time.

The library puts these together in large batches. Here every hook point is read, every step walked and every order tried
alone, which is what it must agree with.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causalkd.attribution.agreement import random_scores
from causalkd.attribution.faithfulness import Faithfulness, removable
from causalkd.attribution.integrated_gradients import Path
from causalkd.attribution.removal import counts_of, ranks
from causalkd.attribution.targets import Target, Views, logits_at, view_values
from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.forward import Inputs
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.start_at import entered, entry_hook_points
from causalkd.verification.measures.attribution_maps import AttributionBatch, MapSettings, depths


def one_by_one(
    model: HookedModel, questions: Sequence[AttributionBatch], how: MapSettings
) -> tuple[list[Tensor], Faithfulness]:
    """The scores at every depth, by batch, and the faithfulness of the first depth's, with greedy extremes.

    Of texts of few tokens the library compares all orders, as `tests/oracles/faithfulness.py` does.
    """
    target: Target = "logit" if model.task == "regression" else "probability"
    scores = [
        torch.cat([_scores(model, q.batch.inputs, q.views, point, how.steps, target) for q in questions], dim=1)
        for point in depths(model)
    ]
    generator = torch.Generator().manual_seed(how.seed)
    found = []
    for q, first in zip(questions, scores[0].split([len(q.predicted_view) for q in questions], dim=1), strict=True):
        views = Views(q.views.choice.gather(0, q.predicted_view[None]), q.views.position)
        asked = first.gather(0, q.predicted_view[None, :, None].expand(1, *first.shape[1:]))
        found.append(_faithfulness(model, q.batch.inputs, views, asked, generator, how))
    return scores, Faithfulness.join(found)


def _scores(
    model: HookedModel, inputs: Inputs, views: Views, hook_point: HookPoint, steps: int, target: Target
) -> Float[Tensor, "view batch pos"]:
    """From the mean of a text's positions; every text has the same number of positions here."""
    with evaluating([model]), torch.no_grad():
        points = entry_hook_points(model, hook_point)
        read = model.read(inputs, points).activations
        here, *boundary = [read[each] for each in points]
        counted = inputs["attention_mask"].bool()[..., None]
        start = (here.where(counted, 0).sum(1, keepdim=True) / counted.sum(1, keepdim=True)).expand_as(here)
        path = Path(model, inputs, hook_point, *boundary)
        with entered(model, hook_point, start, *boundary):
            model.run(inputs, logits_at=path.logits_at(views))
        total = torch.zeros(())
        for step in range(1, steps + 1):
            total = total + path.gradients(start + step / steps * (here - start), views, target)[1]
        return ((here - start) * (total / steps)).sum(-1).where(counted[..., 0], 0)


def _faithfulness(
    model: HookedModel, inputs: Inputs, views: Views, scores: Tensor, generator: torch.Generator, how: MapSettings
) -> Faithfulness:
    shape, can_go = scores.shape[:2], removable(model, inputs, views).flatten(0, 1)
    removal = _Removal(model, inputs, views, can_go, counts_of(can_go.sum(-1), how.portions), 128)
    flat = scores.to(can_go.device).flatten(0, 1)
    with torch.no_grad(), evaluating([model]):
        whole = removal.values(torch.arange(len(can_go), device=can_go.device), torch.zeros_like(can_go))
        orders = [flat, -flat, *(random_scores(flat, generator) for _ in range(how.random_orders))]
        orders += [removal.search(whole, best) for best in (True, False)]
        aopcs = torch.stack([whole - removal.mean_value(order) for order in orders])
    first, last, *others = aopcs.unflatten(1, shape).unbind()
    ends = (end.unflatten(0, shape) for end in aopcs.aminmax(dim=0))
    return Faithfulness(first, last, torch.stack(others[: how.random_orders]).mean(0), *ends)


@dataclass(frozen=True, eq=False)
class _Removal:
    """Items are the views of every row, one after the other; an order is a score for each position, highest first."""

    model: HookedModel
    inputs: Inputs
    views: Views
    can_go: Bool[Tensor, "item pos"]
    counts: Int[Tensor, "portion item"]
    """The tokens that are removed after each portion."""
    rows: int

    def mean_value(self, order: Float[Tensor, "item pos"]) -> Float[Tensor, " item"]:
        """F after each portion is removed, as a mean over portions; NaN for an item without any token to remove."""
        gone = self.can_go & (ranks(order, self.can_go) < self.counts[..., None])
        portion, item = self._steps().nonzero(as_tuple=True)
        found = torch.full(self.counts.shape, torch.nan, device=gone.device, dtype=torch.float64)
        found[portion, item] = self.values(item, gone[portion, item]).double()
        return found.nanmean(0)

    def search(self, whole: Float[Tensor, " item"], best: bool) -> Float[Tensor, "item pos"]:
        """A greedy order: a portion holds the tokens whose loss alone now lowers F most (or, not `best`, least)."""
        order = torch.zeros(self.can_go.shape, device=whole.device, dtype=torch.float64)
        gone = torch.zeros_like(self.can_go)
        for left, count in zip(range(len(self.counts), 0, -1), self.counts, strict=True):
            item, pos = (self.can_go & ~gone & (gone.sum(-1) < count)[:, None]).nonzero(as_tuple=True)
            tried = gone[item]
            tried[torch.arange(len(item), device=item.device), pos] = True
            fall = torch.full(gone.shape, -torch.inf, device=whole.device, dtype=torch.float64)
            fall[item, pos] = (whole[item] - self.values(item, tried)).double() * (1 if best else -1)
            chosen = self.can_go & ~gone & (ranks(fall, self.can_go & ~gone) < (count - gone.sum(-1))[:, None])
            order = order.where(~chosen, left)
            gone = gone | chosen
        return order

    def values(self, item: Int[Tensor, " row"], gone: Bool[Tensor, "row pos"]) -> Float[Tensor, " row"]:
        """F of some items, each without some tokens; in float32 at least."""
        parts = [
            self._values(*part)
            for part in zip(item.split(self.rows), gone.split(self.rows), strict=True)
            if len(part[0])
        ]
        return torch.cat(parts) if parts else torch.zeros(0, device=item.device)

    def _values(self, item: Int[Tensor, " row"], gone: Bool[Tensor, "row pos"]) -> Float[Tensor, " row"]:
        row = item % len(self.inputs["input_ids"])
        # The padding after the longest of these texts is left out: it has no effect and costs as much as a token.
        width = int(self.inputs["attention_mask"][row].any(0).nonzero().max()) + 1
        given = {name: tensor[row, :width] for name, tensor in self.inputs.items()}
        given["attention_mask"] = given["attention_mask"].masked_fill(gone[:, :width], 0)
        position = None if self.views.position is None else self.views.position[row]
        view = Views(self.views.choice.flatten()[item][None], position)
        logits = self.model.run(given, logits_at=logits_at(view, width)).logits
        target: Target = "logit" if self.model.task == "regression" else "probability"
        return view_values(logits, view, target)[0]

    def _steps(self) -> Bool[Tensor, "portion item"]:
        """The portions that hold a token: a text of few tokens has fewer of them."""
        return self.counts.diff(dim=0, prepend=torch.zeros_like(self.counts[:1])) > 0
