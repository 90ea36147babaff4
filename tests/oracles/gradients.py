"""Integrated gradients in a loop: a whole forward and a backward for each view, row and step."""

import torch
from torch import Tensor

from causalkd.attribution.targets import Target, Views, view_values
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import stock_inputs


def slow_gradients(
    model: HookedModel,
    inputs: dict[str, Tensor],
    views: Views,
    target: Target,
    steps: int,
    module: str,
    side: str,
) -> Tensor:
    """(view, batch, pos, width), from a zero baseline, at a module's input or output by plain hooks."""
    kept: dict[str, Tensor] = {}
    inputs = dict(stock_inputs(model.model, inputs, decodes=model.decodes))

    def scale(tensor: Tensor) -> Tensor:
        if "path" not in kept:
            kept["here"] = tensor.detach()
            return tensor
        kept["leaf"] = (kept["path"] * kept["here"]).detach().requires_grad_()
        return kept["leaf"]

    hook = {
        "input": lambda module, args: (scale(args[0]), *args[1:]),
        "output": lambda module, args, output: scale(output),
    }[side]
    hook_point = model.model.get_submodule(module)
    handle = hook_point.register_forward_pre_hook(hook) if side == "input" else hook_point.register_forward_hook(hook)
    try:
        model.model(**inputs)
        rows = []
        for view in range(len(views.choice)):
            total = torch.zeros_like(kept["here"])
            for step in range(1, steps + 1):
                kept["path"] = torch.tensor(step / steps, dtype=torch.float64)
                logits = model.model(**inputs).logits
                if views.position is not None:
                    logits = logits[torch.arange(len(logits)), views.position]
                values = view_values(logits, views, target)[view]
                for row, value in enumerate(values):
                    (found,) = torch.autograd.grad(value, kept["leaf"], retain_graph=True)
                    total[row] += found[row] / steps
            rows.append(total * kept["here"])
    finally:
        handle.remove()
    return torch.stack(rows)
