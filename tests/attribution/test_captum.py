"""Agreement with captum's LayerIntegratedGradients at a block's output, with padding on either side."""

from typing import Any

import pytest
import torch
from captum.attr import LayerIntegratedGradients
from torch import Tensor, nn

from causalkd.attribution.gradients import integrated_gradients
from causalkd.attribution.views import class_views, view_values
from causalkd.models.stock_inputs import stock_inputs
from tests.attribution.views import hooked
from tests.tiny import tiny_inputs


class _Wrapped(nn.Module):
    """Probabilities of every class; captum repeats rows and so needs tensors as arguments."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.stock, self._hooked = model.model, model

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        inputs = {"input_ids": ids, "attention_mask": mask}
        given = stock_inputs(self.stock, inputs, decodes=self._hooked._decodes)
        logits = self.stock(**given).logits
        return view_values(logits, class_views(3, len(logits)), "probability").T


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta", "gpt2", "opt", "llama"])
def test_it_says_what_captum_says(architecture: str, side: str) -> None:
    model, inputs = hooked(architecture), tiny_inputs(3, 8, side=side)
    # captum's path begins at the activation of other tokens.
    other, place = {**inputs, "input_ids": torch.full_like(inputs["input_ids"], 5)}, model.place("block_output", 0)
    baseline = model.run(other, [place]).activations[place]
    ours = integrated_gradients(model, inputs, class_views(3, 3), place=place, steps=4, baseline=baseline)
    wrapped = _Wrapped(model)
    module = model.model.get_submodule(place.module)
    captum = LayerIntegratedGradients(wrapped, module)
    for view in range(3):
        theirs = captum.attribute(
            (inputs["input_ids"], inputs["attention_mask"]),
            baselines=(other["input_ids"], inputs["attention_mask"]),
            target=view,
            n_steps=4,
            method="riemann_right",
        )
        theirs = theirs[0] if isinstance(theirs, tuple) else theirs
        torch.testing.assert_close(ours.values[view], theirs, rtol=1e-5, atol=1e-5)
