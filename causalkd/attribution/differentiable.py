"""Attributions of a run that is computed anyway, in its graph: a student's map is trained through it.

The path of integrated gradients from a zero baseline ends at the run itself, so its last step costs no forward. The
steps before it keep nothing: their second-order gradient is taken in a second walk along the path, step by step, once
the gradient with respect to the attributions is known. So memory does not grow with the steps.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from causalkd.attribution.integrated_gradients import Path, view_gradients
from causalkd.attribution.targets import Target, Views, at_least_float32
from causalkd.models.hooks.attention import twice_differentiable
from causalkd.models.hooks.forward import ForwardOutput, Inputs
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.start_at import entered, entry_hook_points


def run_from(
    model: HookedModel, inputs: Inputs, hook_point: HookPoint, keep: tuple[HookPoint, ...], logits_at: Any = None
) -> ForwardOutput:
    """A teacher's run with a graph from a hook point on, whose attributions need no further forward pass."""
    with model.hooks([(hook_point, lambda hidden: hidden.detach().requires_grad_())]):
        return model.run(inputs, (*entry_hook_points(model, hook_point), *keep), logits_at=logits_at, graph=True)


def traced_attributions(
    model: HookedModel,
    run: ForwardOutput,
    logits: Float[Tensor, "batch choice"],
    views: Views,
    *,
    hook_point: HookPoint,
    steps: int = 1,
    target: Target = "loss",
    differentiable: bool = False,
) -> Float[Tensor, "view batch pos width"]:
    """Integrated gradients from a zero baseline at a hook point that the run kept.

    Costs the backward passes of the last step and, for each of the other steps, a forward and the backward passes of
    `view_gradients`; for a differentiable result twice that and their second-order backward, when backward comes.

    Args:
        model: Teacher or student.
        run: A run that kept `entry_hook_points(model, hook_point)`. Its graph is used up unless the result is
            differentiable, for which it must have been made with `twice_differentiable` attention. If the run has no
            graph, the last step costs a forward pass like the others.
        logits: The logits of each row at the views' positions, from the run.
        views: The outputs to explain.
        hook_point: The hook point of the attributions.
        steps: m; 1 is input × gradient.
        target: F.
        differentiable: Whether the result has a graph, also through the activation at the hook point.

    Raises:
        ValueError: A differentiable result is wanted, but no trained parameter comes before the hook point.
    """
    here, *boundary = (run.activations[each] for each in entry_hook_points(model, hook_point))
    path = Path(model, run.inputs, hook_point, *(each.detach() for each in boundary))
    if not logits.requires_grad:
        total = _first_order(path, here, views, target, range(1, steps + 1), steps)
        return here * (total / steps)
    if differentiable and not here.requires_grad:
        raise ValueError(
            f"no parameter before {hook_point.name} of {model} is trained, so a training run has no gradient there; "
            "call enable_input_require_grads() of the stock model, as for adapters, train its embeddings, or name a "
            "`hook_point` behind a block that is trained"
        )
    total = at_least_float32(view_gradients(logits, here, views, target, create_graph=differentiable))
    if not differentiable:
        here = here.detach()
        before = range(1, steps)
        total = total + _first_order(path, here, views, target, before, steps) if before else total
        return here * (total / steps)
    if steps > 1:
        walk = _Walk(path, views, target, steps)
        total = total + _Steps.apply(walk, here, boundary[0] if boundary else None, *walk.parameters)
    return here * (total / steps)


def _first_order(
    path: Path, here: Float[Tensor, "batch pos width"], views: Views, target: Target, numbers: range, steps: int
) -> Float[Tensor, "view batch pos width"]:
    # The sum grows while its terms do not: half precision would soon lose them.
    total = here.new_zeros((), dtype=torch.promote_types(here.dtype, torch.float32))
    for number in numbers:
        total = total + at_least_float32(path.gradients(number / steps * here, views, target)[1])
    return total


class _Walk:
    """The steps before the last: walked once for their gradients, and once more for the gradient of those."""

    def __init__(self, path: Path, views: Views, target: Target, steps: int) -> None:
        self.path, self.views, self.steps = path, views, steps
        self.target: Target = target
        self.parameters = [each for each in path.model.model.parameters() if each.requires_grad]
        self._states: list[Tensor] = []
        kind = path.model.model.device.type
        self._autocast = {
            "device_type": kind,
            "dtype": torch.get_autocast_dtype(kind),
            "enabled": torch.is_autocast_enabled(kind),
        }

    def forward(self, here: Tensor) -> Tensor:
        """Σ of the gradients at k/m · here, k < m; every step draws its own dropout, as in the release."""
        total = here.new_zeros((), dtype=torch.promote_types(here.dtype, torch.float32))
        with twice_differentiable(self.path.model):
            for number in range(1, self.steps):
                self._states.append(self.path.model.generator_state())
                gradients = self.path.gradients(number / self.steps * here, self.views, self.target)[1]
                total = total + at_least_float32(gradients)
        return total

    def backward(self, here: Tensor, boundary: Tensor | None, weight: Tensor) -> list[Tensor | None]:
        """The gradients of ⟨weight, forward⟩ for `here`, the boundary and every parameter."""
        model = self.path.model
        totals: list[Tensor | None] = [None] * (2 + len(self.parameters))
        fresh = model.generator_state()
        try:
            with twice_differentiable(model), torch.autocast(**self._autocast, cache_enabled=False):
                for number, state in enumerate(self._states, 1):
                    model.set_generator_state(state)
                    found = self._step(number / self.steps, here, boundary, weight)
                    totals = [_sum(total, each) for total, each in zip(totals, found, strict=True)]
        finally:
            model.set_generator_state(fresh)
        return totals

    def _step(self, share: float, here: Tensor, boundary: Tensor | None, weight: Tensor) -> list[Tensor | None]:
        """The contribution of the step at `share` of the path; its graph is freed when this returns."""
        path = self.path
        hidden = (share * here).detach().requires_grad_()
        entry = () if boundary is None else (boundary.detach().requires_grad_(),)
        with torch.enable_grad():
            with entered(path.model, path.hook_point, hidden, *entry):
                logits = path.model.run(path.inputs, logits_at=path.logits_at(self.views)).logits
            gradients = view_gradients(logits, hidden, self.views, self.target, create_graph=True)
        of_hidden, *others = torch.autograd.grad(
            gradients, (hidden, *entry, *self.parameters), weight, allow_unused=True
        )
        return [None if of_hidden is None else share * of_hidden, *(() if entry else (None,)), *others]


def _sum(total: Tensor | None, added: Tensor | None) -> Tensor | None:
    if added is None:
        return total
    return at_least_float32(added) if total is None else total + at_least_float32(added)


class _Steps(torch.autograd.Function):
    """Gives the parameters' gradients to autograd, so that averaging and accumulation see them like any others.

    A `.backward()` of its own would run before the hooks of a distributed wrapper are ready, and give wrong weights.
    """

    @staticmethod
    def forward(ctx: Any, walk: _Walk, here: Tensor, boundary: Tensor | None, *parameters: Tensor) -> Tensor:
        """Runs along the path."""
        ctx.walk = walk
        ctx.save_for_backward(here, boundary)
        return walk.forward(here)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, weight: Tensor) -> tuple[Tensor | None, ...]:
        """Runs along the path again."""
        return (None, *ctx.walk.backward(*ctx.saved_tensors, weight))
