"""Eager attention for exactly the passes that are differentiated twice."""

import pytest
import torch

from causalkd.models.hooks.attention import attention_of, twice_differentiable
from causalkd.models.hooks.hooked_model import HookedModel
from tests.tiny import ARCHITECTURES, tiny, tiny_inputs


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_forward_inside_has_a_second_derivative(architecture: str) -> None:
    model = HookedModel(tiny(architecture, "classification"), task="classification", role="student")
    hook_point, inputs = model.hook_point("block_input", 0), tiny_inputs()
    assert attention_of(model) == "sdpa"
    with twice_differentiable(model):
        assert attention_of(model) == "eager"
        run = model.run(inputs, [hook_point])
    assert attention_of(model) == "sdpa"
    (gradient,) = torch.autograd.grad(run.logits[:, 0].sum(), run.activations[hook_point], create_graph=True)
    gradient.square().sum().backward()
    torch.testing.assert_close(run.logits, model.run(inputs).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ["gpt2", "opt", "llama"])
def test_in_float64_padding_before_a_row_changes_nothing(architecture: str) -> None:
    """It saw no token, and its softmax in float32 was NaN, which the next block handed on to the row."""
    stock = tiny(architecture, "causal_lm", dtype=torch.float64)
    model, inputs = HookedModel(stock, task="causal_lm", role="student"), tiny_inputs(side="left")
    real = inputs["attention_mask"].bool()
    with twice_differentiable(model):
        found = model.run(inputs).logits
    rounding = torch.finfo(torch.float32).eps
    torch.testing.assert_close(found[real], model.run(inputs).logits[real], rtol=64 * rounding, atol=64 * rounding)


def test_it_is_restored_after_an_exception() -> None:
    model = HookedModel(tiny("bert", "classification"), task="classification", role="student")
    with pytest.raises(KeyboardInterrupt), twice_differentiable(model):
        raise KeyboardInterrupt
    assert attention_of(model) == "sdpa"


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_checkpointed_blocks_come_back_to_it(dropout: float) -> None:
    """Scaled-dot-product attention would draw other dropout, and so be another network than the forward's."""
    found = []
    for checkpointed in (False, True):
        model = _student(dropout)
        if checkpointed:
            model.model.activation_checkpointing_enable({"use_reentrant": False})
        hook_point = model.hook_point("block_input", 0)
        torch.manual_seed(0)
        with twice_differentiable(model):
            run = model.run(tiny_inputs(), [hook_point])
        (gradient,) = torch.autograd.grad(run.logits[:, 0].sum(), run.activations[hook_point], create_graph=True)
        gradient.square().sum().backward()
        assert attention_of(model) == "sdpa"
        found.append([parameter.grad for parameter in model.model.parameters() if parameter.grad is not None])
    assert max(gradient.abs().max() for gradient in found[0]) > 1e-3
    torch.testing.assert_close(found[1], found[0], rtol=1e-10, atol=1e-12)


def test_what_has_no_second_derivative_is_refused() -> None:
    reentrant, block, whole = _student(), _student(), _student()
    reentrant.model.activation_checkpointing_enable({"use_reentrant": True})
    with pytest.raises(ValueError, match=r"reentrant, so a block .* or differentiated twice; set gradient_checkp"):
        twice_differentiable(reentrant).__enter__()
    block.blocks[1] = torch.compile(block.blocks[1], backend="eager")  # type: ignore[assignment]
    with pytest.raises(ValueError, match="block 1 is compiled, and torch compiles no second derivative"):
        twice_differentiable(block).__enter__()
    whole.model.compile(backend="eager")
    with pytest.raises(ValueError, match="the model is compiled, and torch compiles no second derivative"):
        twice_differentiable(whole).__enter__()
    assert {attention_of(model) for model in (reentrant, block, whole)} == {"sdpa"}


def _student(dropout: float = 0.0) -> HookedModel:
    stock = tiny("bert", "classification", layers=2, dtype=torch.float64, dropout=dropout)
    model = HookedModel(stock, task="classification", role="student")
    model.model.train()
    return model
