"""Agreement with captum's LayerIntegratedGradients, at the embedding's output and after a block in the middle."""

import pytest
import torch
from captum.attr import LayerIntegratedGradients
from torch import Tensor, nn

from causalkd.attribution.integrated_gradients import integrated_gradients
from causalkd.attribution.targets import class_views, view_values
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import stock_inputs
from tests.tiny import tiny, tiny_inputs


class _Wrapped(nn.Module):
    """Probabilities of every class; captum repeats rows and so needs tensors as arguments.

    `layer` is what captum looks at: the place's module, or where that is a block's input, which captum cannot follow
    beside a block's other arguments, a module that hands on what enters.
    """

    def __init__(self, model: HookedModel, hook_point: HookPoint) -> None:
        super().__init__()
        self.stock, self._hooked, self.layer = model.model, model, model.model.get_submodule(hook_point.module)
        if hook_point.side == "input":
            block, self.layer = self.layer, nn.Identity()
            block.register_forward_pre_hook(lambda _, args: (self.layer(args[0]), *args[1:]))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        inputs = {"input_ids": ids, "attention_mask": mask}
        given = stock_inputs(self.stock, inputs, decodes=self._hooked.decodes)
        logits = self.stock(**given).logits
        return view_values(logits, class_views(3, len(logits)), "probability").T


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta", "gpt2", "opt", "llama"])
@pytest.mark.parametrize(("component", "layer"), [("block_input", 0), ("block_output", 1)])
def test_it_says_what_captum_says(component: str, layer: int, architecture: str, side: str) -> None:
    stock = tiny(architecture, "classification", dtype=torch.float64)
    model = HookedModel(stock, task="classification", role="teacher")
    inputs, hook_point = tiny_inputs(3, 8, side=side), model.hook_point(component, layer)  # rows of 8, 7 and 6 tokens
    # captum's path begins at the activation of other tokens.
    other = {**inputs, "input_ids": torch.full_like(inputs["input_ids"], 5)}
    baseline = model.run(other, [hook_point]).activations[hook_point]
    ours = integrated_gradients(
        model, inputs, class_views(3, 3), hook_point=hook_point, steps=4, baseline=baseline
    ).values
    wrapped = _Wrapped(model, hook_point)
    captum = LayerIntegratedGradients(wrapped, wrapped.layer)
    for view in range(3):
        theirs = captum.attribute(
            (inputs["input_ids"], inputs["attention_mask"]),
            baselines=(other["input_ids"], inputs["attention_mask"]),
            target=view,
            n_steps=4,
            method="riemann_right",
        )
        theirs = theirs[0] if isinstance(theirs, tuple) else theirs
        rounding = 8 * torch.finfo(torch.float32).eps  # Llama norms in float32, of which each position has a part
        torch.testing.assert_close(ours[view], theirs, rtol=1e-5, atol=rounding * theirs.abs().max().item())
    assert ours.abs().max() > 1e-3
