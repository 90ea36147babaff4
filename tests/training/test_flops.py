"""Operations of a forward, from the sizes of layers, beside a counter's."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.training.flops import ForwardCost, Shape
from tests.architectures.zoo import tiny_of
from tests.tiny import tiny


@pytest.mark.parametrize(
    ("architecture", "task"),
    [("bert", "classification"), ("gpt2", "causal_lm"), ("llama", "causal_lm"), ("gpt2", "classification")],
)
def test_a_forward_costs_what_a_counter_counts(architecture: str, task: str) -> None:
    stock = tiny(architecture, task)
    stock.set_attn_implementation("eager")
    model = HookedModel(stock, task=task, role="teacher")  # type: ignore[arg-type]
    ids = torch.randint(5, 40, (3, 8))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with FlopCounterMode(display=False) as counter:
        _ = model.run(inputs).logits  # whole, where a head over a vocabulary would be left out
    cost, shape = ForwardCost(model), Shape(3, 8, 24)
    assert cost.forward(shape) == pytest.approx(counter.get_total_flops(), rel=0.05)
    assert cost.blocks(shape, 1) == pytest.approx(cost.blocks(shape) / model.n_layers)


@pytest.mark.parametrize("model_type", ["mixtral", "qwen3_moe", "ernie4_5_moe", "jetmoe", "gemma3"])
def test_a_mixture_costs_the_experts_of_a_token_and_a_text_no_tower_for_images(model_type: str) -> None:
    """A mixture's experts are in no linear layer, and most of its cost was left out of every plan."""
    stock = tiny_of(model_type, "causal_lm")
    stock.config.get_text_config()._experts_implementation = "eager"  # whose products the counter knows
    model = HookedModel(stock, task="causal_lm", role="teacher")
    ids = torch.randint(5, 40, (4, 16))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        stock(input_ids=ids, attention_mask=torch.ones_like(ids), **model.options)
    assert ForwardCost(model).forward(Shape(4, 16, 64)) == pytest.approx(counter.get_total_flops(), rel=0.15)
