"""Operations of a forward, from the sizes of layers, beside a counter's."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from causalkd.models.heads import auto_class
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.training.flops import ForwardCost, Shape
from tests.architectures.zoo import tiny_config, tiny_of
from tests.tiny import WIDTH, tiny


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


# Heads of another width with keys for several of them, latent attention, blocks without attention, a decoder that reads
# no encoder, a projector of images.
@pytest.mark.parametrize("model_type", ["qwen3", "deepseek_v3", "lfm2", "bart", "llava"])
def test_a_forward_costs_what_its_own_parts_cost(model_type: str) -> None:
    config = tiny_config(model_type, "causal_lm")
    text = config.get_text_config()
    if model_type == "qwen3":
        text.head_dim, text.num_key_value_heads = WIDTH, 2
    if model_type == "deepseek_v3":
        text.v_head_dim = 3 * text.v_head_dim
    stock = auto_class(config, "causal_lm").from_config(config, attn_implementation="eager")
    model = HookedModel(stock, task="causal_lm", role="teacher")
    text._experts_implementation = "eager"
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        _ = model.run({"input_ids": torch.randint(5, 40, (2, 32))}).logits
    assert ForwardCost(model).forward(Shape(2, 32, 64)) == pytest.approx(counter.get_total_flops(), rel=0.01)


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
