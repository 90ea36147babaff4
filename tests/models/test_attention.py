"""Eager attention for exactly the passes that are differentiated twice."""

import pytest
import torch

from causalkd.models.attention import attention_of, twice_differentiable
from causalkd.models.hooked import HookedModel
from tests.tiny import ARCHITECTURES, tiny, tiny_inputs


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_forward_inside_has_a_second_derivative(architecture: str) -> None:
    model = HookedModel(tiny(architecture, "classification"), task="classification", role="student")
    place, inputs = model.place("block_input", 0), tiny_inputs()
    assert attention_of(model) == "sdpa"
    with twice_differentiable(model):
        assert attention_of(model) == "eager"
        run = model.run(inputs, [place])
    assert attention_of(model) == "sdpa"
    (gradient,) = torch.autograd.grad(run.logits[:, 0].sum(), run.activations[place], create_graph=True)
    gradient.square().sum().backward()
    torch.testing.assert_close(run.logits, model.run(inputs).logits, rtol=1e-4, atol=1e-5)


def test_it_is_restored_after_an_exception() -> None:
    model = HookedModel(tiny("bert", "classification"), task="classification", role="student")
    with pytest.raises(KeyboardInterrupt), twice_differentiable(model):
        raise KeyboardInterrupt
    assert attention_of(model) == "sdpa"
