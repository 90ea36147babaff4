"""Integrated gradients: how much each dimension of each position moved an output (Sundararajan et al. 2017).

    IG[v, i, d] = (h − h₀)[i, d] · (1/m) Σ_k ∂F_v(h₀ + k/m (h − h₀)) / ∂h[i, d],   k = 1 … m

with h the activation at a hook point, h₀ the baseline and F_v the target of a view of the model's output: AD-KD's right
Riemann sum (Wu et al. 2023, arXiv 2305.10010). With one step and a zero baseline it is input × gradient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causalkd.attribution.targets import (
    TARGETS,
    Target,
    Views,
    at_least_float32,
    check_rows,
    check_views,
    logits_at,
    slopes,
    steep_values,
    view_values,
)
from causalkd.errors import check_choice
from causalkd.models.hooks.attention import attention_of
from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.forward import Inputs
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import complete
from causalkd.models.hooks.start_at import entered, entry_hook_points, hook_point_of
from causalkd.models.vocabularies import entries_without_text

Baseline = Literal["zero", "mean", "[MASK]"]
"""The start of the path: 0, the mean of the row's real positions, or the activation of the same row with every token
that is not special replaced by the mask token."""
BASELINES: tuple[Baseline, ...] = get_args(Baseline)
# The number of positions that go through the model together with a graph: that of 16 texts of 512 tokens.
_POSITIONS = 2**13


@dataclass(frozen=True, eq=False)
class Attributions:
    """The attribution of every dimension.

    Attributes:
        values: The attributions, in units of the target; in float32 at least.
        gap: Σ values − (F(h) − F(h₀)): the error of the sum over steps; 0 in the limit of many (completeness).
        attention: The attention implementation it was computed with.
    """

    values: Float[Tensor, "view batch pos width"]
    gap: Float[Tensor, "view batch"]
    attention: str


def integrated_gradients(
    model: HookedModel,
    inputs: Inputs,
    views: Views,
    *,
    hook_point: HookPoint | str | None = None,
    steps: int = 32,
    baseline: Baseline | Float[Tensor, "..."] = "zero",
    target: Target = "probability",
) -> Attributions:
    """The attributions of a batch, without a graph and in eval mode, by default at the embedding output.

    Costs the blocks up to the hook point, then for each step, and once more at the start of the path, one forward and
    several backward passes through the blocks after it: one per view, and for all K classes K − 1 (K with the target
    `logit`). Steps go through the model together, as many as 8,192 positions hold; memory does not grow with more.

    Raises:
        ValueError: Fewer than one step, no such hook point, a view of no class or token, or a missing baseline.
    """
    points = [hook_point_of(model, hook_point)]
    return attributions_at(model, inputs, views, points, steps=steps, baseline=baseline, target=target)[0]


def attributions_at(
    model: HookedModel,
    inputs: Inputs,
    views: Views,
    hook_points: Sequence[HookPoint],
    *,
    steps: int = 32,
    baseline: Baseline | Float[Tensor, "..."] = "zero",
    target: Target = "probability",
) -> list[Attributions]:
    """`integrated_gradients` at several hook points, whose activations are read in one forward."""
    check_steps(steps)
    check_choice("target", target, TARGETS)
    inputs = complete(inputs)
    check_rows(views, model.task, inputs["attention_mask"].bool())
    read = list(dict.fromkeys(each for point in hook_points for each in entry_hook_points(model, point)))
    with evaluating([model]), torch.no_grad():
        activations = model.read(inputs, read).activations
        here = {point: activations[point] for point in hook_points}
        starts = dict(zip(here, _baselines(model, inputs, here, baseline), strict=True))
        return [
            _along(
                Path(model, inputs, point, *(activations[each] for each in entry_hook_points(model, point)[1:])),
                here[point],
                starts[point],
                views,
                target,
                steps,
            )
            for point in hook_points
        ]


def _along(
    path: "Path",
    here: Float[Tensor, "batch pos width"],
    start: Float[Tensor, "batch pos width"],
    views: Views,
    target: Target,
    steps: int,
) -> Attributions:
    """The attributions along one path, its steps in groups that go through the model together."""
    # The sum over steps grows while its terms do not: half precision would soon lose them.
    rows, wide = len(here), torch.promote_types(here.dtype, torch.float32)
    away = at_least_float32(here) - at_least_float32(start)
    total, at_start = here.new_zeros((), dtype=wide), torch.zeros(())
    together = max(1, _POSITIONS // max(1, here[..., 0].numel()))
    for first in range(0, steps + 1, together):
        numbers = range(first, min(first + together, steps + 1))
        # The last point is the activation itself, so that `gap` is of the model's own output.
        along = [(start + number / steps * away).to(here) for number in range(numbers.start, min(numbers.stop, steps))]
        points = torch.cat([*along, here] if numbers.stop > steps else along)
        of_all = views.repeated(len(numbers))
        hidden, logits = path.repeated(len(numbers)).run(points, of_all)
        if first == 0:
            check_views(views, path.model.task, logits.shape[-1], target)
            at_start = view_values(logits[:rows].detach(), views, target)
        gradients = view_gradients(logits, hidden, of_all, target).unflatten(1, (len(numbers), rows))
        # The sum is a right one: the start itself is not in it.
        total = total + gradients[:, 1 if first == 0 else 0 :].sum(1, dtype=wide)
    at_end = view_values(logits[-rows:].detach(), views, target)
    values = away * (total / steps)
    gap = values.sum((-2, -1)) - (at_end - at_start)
    return Attributions(values, gap, attention_of(path.model))


def check_steps(steps: int) -> None:
    """Refuses a path without steps.

    Raises:
        ValueError: The number of steps is below 1.
    """
    if steps < 1:
        raise ValueError(
            f"steps is {steps}, but a path has at least 1; 1 is input × gradient, and more bring the scores closer "
            "to completeness. Each map holds its completeness gap: compare it with the change explained"
        )


@dataclass(frozen=True, eq=False)
class Path:
    """Forward passes that start at a hook point of a model.

    Attributes:
        model: The model.
        inputs: The other inputs.
        hook_point: The hook point where the forward pass starts.
        boundary: For a hook point inside a block, the input of the block.
    """

    model: HookedModel
    inputs: Inputs
    hook_point: HookPoint
    boundary: Float[Tensor, "batch pos boundary_width"] | None = None

    def repeated(self, times: int) -> "Path":
        """The same for all rows several times, one after the other."""
        inputs = {name: tensor.repeat(times, *[1] * (tensor.dim() - 1)) for name, tensor in self.inputs.items()}
        boundary = None if self.boundary is None else self.boundary.repeat(times, 1, 1)
        return Path(self.model, inputs, self.hook_point, boundary)

    def logits_at(self, views: Views) -> Int[Tensor, "batch"] | None:
        """The flat positions at which a per-token head must predict."""
        return logits_at(views, self.inputs["input_ids"].shape[1])

    def gradients(
        self, hidden: Float[Tensor, "batch pos width"], views: Views, target: Target
    ) -> tuple[Tensor, Float[Tensor, "view batch pos width"]]:
        """Logits at these hidden states and the views' gradients with respect to them, both without a graph."""
        hidden, logits = self.run(hidden, views)
        return logits.detach(), view_gradients(logits, hidden, views, target)

    def run(self, hidden: Float[Tensor, "batch pos width"], views: Views) -> tuple[Tensor, Tensor]:
        """The hidden states as a leaf of a graph, and the logits at the views' positions in it."""
        hidden = hidden.detach().requires_grad_()
        with torch.enable_grad(), entered(self.model, self.hook_point, hidden, self.boundary):
            return hidden, self.model.run(self.inputs, logits_at=self.logits_at(views), graph=True).logits


def view_gradients(
    logits: Float[Tensor, "batch choice"],
    hidden: Float[Tensor, "batch pos width"],
    views: Views,
    target: Target,
    *,
    create_graph: bool = False,
) -> Float[Tensor, "view batch pos width"]:
    """The gradients of the views' targets for hidden states in the graph of the logits, in float32 at least.

    Without `create_graph` the graph is used up. Rows do not mix in a forward, so one backward of a sum over rows gives
    the gradient of each. Costs one backward per view, and for all K classes K − 1 (K with the target `logit`). They run
    one after the other: batched (`is_grads_batched`), two took 1.05 times as long on a CPU, with the second order .97
    times (BERT, 3 × 384).
    """
    if views.every and target != "logit":
        return _class_gradients(logits, hidden, target, create_graph)
    with torch.enable_grad():
        steep = steep_values(logits, views, target)
        totals = steep.sum(1).unbind()
    found = torch.stack(_backwards(totals, hidden, create_graph))
    # The slope, such as p (1 − p), stays outside of the backward: in float16 that of a sure model would be lost.
    with torch.set_grad_enabled(create_graph), torch.autocast(hidden.device.type, enabled=False):
        return slopes(steep, views, target)[..., None, None] * at_least_float32(found)


def _class_gradients(
    logits: Float[Tensor, "batch class"], hidden: Float[Tensor, "batch pos width"], target: Target, create_graph: bool
) -> Float[Tensor, "class batch pos width"]:
    """∇ log p_c = Σ_j p_j (d_c − d_j) with d_c = ∇(z_c − z_0), so d_0 = 0 needs no backward.

    Nothing is divided by p, and 1 − p_c is summed from the other classes: written as d_c − Σ_j p_j d_j, the map of a
    class of which a model is sure would be the difference of two equal things, of which bfloat16 leaves nothing.
    """
    with torch.enable_grad():
        totals = (logits[:, 1:] - logits[:, :1]).sum(0).unbind()
    found = _backwards(totals, hidden, create_graph)
    with torch.set_grad_enabled(create_graph), torch.autocast(hidden.device.type, enabled=False):
        p = at_least_float32(logits).softmax(-1)
        d = at_least_float32(torch.stack([torch.zeros_like(hidden), *found]))
        others = p[:, None] * (1 - torch.eye(p.shape[1], device=p.device, dtype=p.dtype))
        of_log = torch.einsum("bcj,jbpw->cbpw", others.sum(-1).diag_embed() - others, d)
        if target == "log_probability":
            return of_log
        return -of_log if target == "loss" else p.T[:, :, None, None] * of_log


def _backwards(totals: tuple[Tensor, ...], hidden: Tensor, create_graph: bool) -> list[Tensor]:
    last = len(totals) - 1
    return [
        torch.autograd.grad(total, hidden, create_graph=create_graph, retain_graph=create_graph or number < last)[0]
        for number, total in enumerate(totals)
    ]


def _baselines(
    model: HookedModel,
    inputs: Inputs,
    here: Mapping[HookPoint, Float[Tensor, "batch pos width"]],
    baseline: Baseline | Float[Tensor, "..."],
) -> list[Float[Tensor, "batch pos width"]]:
    """The start of the path at each hook point."""
    if isinstance(baseline, Tensor):
        return [_given(point, each, baseline) for point, each in here.items()]
    check_choice("baseline", baseline, BASELINES)
    if baseline == "zero":
        return [torch.zeros_like(each) for each in here.values()]
    if baseline == "mean":
        counted = inputs["attention_mask"].bool()[..., None]
        tokens = counted.sum(1, keepdim=True).clamp(min=1)
        sums = [at_least_float32(each).where(counted, 0).sum(1, keepdim=True) for each in here.values()]
        return [(total / tokens).to(each).expand_as(each) for total, each in zip(sums, here.values(), strict=True)]
    masked = model.read(_masked(model, inputs), list(here)).activations
    return [masked[point] for point in here]


def _given(hook_point: HookPoint, here: Float[Tensor, "batch pos width"], baseline: Tensor) -> Tensor:
    try:
        return baseline.to(here).expand_as(here)
    except RuntimeError:
        raise ValueError(
            f"the baseline has shape {tuple(baseline.shape)}, the activation at {hook_point.name} {tuple(here.shape)}; "
            "give a tensor of that shape, or one of its width"
        ) from None


def _masked(model: HookedModel, inputs: Inputs) -> Inputs:
    tokenizer = model.tokenizer
    mask = None if tokenizer is None else tokenizer.mask_token_id
    if tokenizer is None or not isinstance(mask, int):
        raise ValueError(
            f"baseline '[MASK]' needs a mask token, and {model} has no tokenizer with one; "
            "use 'zero' or 'mean', or give the baseline as a tensor"
        )
    ids = inputs["input_ids"]
    special = torch.isin(ids, torch.tensor(entries_without_text(tokenizer), device=ids.device))
    return {**inputs, "input_ids": ids.where(special, mask)}
