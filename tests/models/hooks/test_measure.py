"""What one forward of a few tokens shows of a model, and that it leaves the model as it was."""

from pathlib import Path

import pytest
import torch
from torch import nn

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.measure import can_run, few_tokens, measured, still
from causalkd.models.self_test import self_test
from tests.architectures.zoo import tiny_of
from tests.tiny import VOCABULARY, WIDTH, tiny, tiny_inputs


class Wrapped(nn.Module):
    """A linear map whose weight has another shape than the map, as a quantised one's may."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.packed = nn.Parameter(linear.weight.detach().reshape(-1, 1), requires_grad=False)
        self.in_features, self.out_features = linear.in_features, linear.out_features

    @property
    def weight(self) -> nn.Parameter:
        return self.packed

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return given @ self.packed.reshape(self.out_features, self.in_features).T


def _hooked(architecture: str) -> HookedModel:
    return HookedModel(tiny_of(architecture, "causal_lm"), task="causal_lm", role="student")


@pytest.mark.parametrize(("architecture", "returned"), [("gpt_neo", 2), ("openai-gpt", 1), ("llama", None)])
def test_what_blocks_return_is_known(architecture: str, returned: int | None) -> None:
    model = _hooked(architecture)
    assert set(model._returned) == {returned}
    inputs = tiny_inputs()
    hook_point = model.hook_point("block_input", 2)
    run = model.run(inputs, [hook_point])
    with model.resumed(2, run.activations[hook_point]):
        assert torch.equal(model.run(inputs).logits, run.logits)


def test_widths_are_what_passes_not_what_a_weight_looks_like() -> None:
    stock = tiny("llama", "causal_lm")
    block = stock.model.layers[1]
    block.self_attn.o_proj, block.mlp.down_proj = Wrapped(block.self_attn.o_proj), Wrapped(block.mlp.down_proj)
    model = HookedModel(stock, task="causal_lm", role="student")
    assert {hook_point.width for hook_point in model.hook_points()} == {WIDTH}


def test_a_tensor_that_the_model_overwrites_is_read_as_it_was() -> None:
    """Falcon adds the attention's output into the MLP's."""
    model = _hooked("falcon")
    hook_point = model.hook_point("mlp_output", 1)
    assert hook_point.is_overwritten and not model.hook_point("block_output", 1).is_overwritten
    seen: list[torch.Tensor] = []
    linear = model.model.get_submodule(hook_point.module)
    handle = linear.register_forward_hook(lambda module, args, output: seen.append(output.clone()))
    run = model.run(tiny_inputs(), [hook_point])
    handle.remove()
    assert torch.equal(run.activations[hook_point], seen[0])
    given = run.activations[hook_point].clone()
    with model.hooks([(hook_point, lambda _: given)]):
        again = model.run(tiny_inputs())
    assert torch.equal(given, seen[0]) and torch.equal(again.logits, run.logits)


def test_a_component_that_a_block_lacks_is_left_out() -> None:
    hybrid = _hooked("qwen3_next")
    assert [hook_point.layer for hook_point in hybrid.hook_points() if hook_point.component == "attention_output"] == [
        1,
        3,
    ]
    with pytest.raises(
        ValueError, match=r"attention_output of layer 0 does not exist; Qwen3NextForCausalLM has .* in layers 1, 3"
    ):
        hybrid.hook_point("attention_output", 0)
    mamba = _hooked("mamba")
    with pytest.raises(ValueError, match="MambaForCausalLM has no mlp_output in any layer; it has token_embedding, bl"):
        mamba.hook_point("mlp_output", 0)


def test_the_output_of_a_mixture_of_experts_is_its_mlp_output() -> None:
    model = _hooked("mixtral")
    hook_point = model.hook_point("mlp_output", 1)
    assert (hook_point.name, hook_point.module) == ("blocks.1.mlp.hook_out", "model.layers.1.mlp")


def test_blocks_that_are_not_called_once_in_their_order_are_refused() -> None:
    stock = tiny("bert", "masked_lm")
    blocks = stock.bert.encoder.layer
    blocks[1] = blocks[0]
    with pytest.raises(ValueError, match="BertForMaskedLM calls its blocks in the order 0, 0, 1 in one forward, where"):
        HookedModel(stock, task="masked_lm", role="teacher")


def test_a_model_that_does_not_run_is_refused() -> None:
    stock = tiny("bert", "masked_lm")
    stock.bert.encoder.layer[1].output.dense = nn.Linear(3, WIDTH)
    with pytest.raises(ValueError, match="BertForMaskedLM does not run on 3 tokens"):
        HookedModel(stock, task="masked_lm", role="teacher")


def test_measuring_leaves_the_model_as_it_was() -> None:
    stock = tiny("bert", "classification", dropout=0.5).train()
    stock.bert.encoder.layer[1].eval()
    before, state = {m: m.training for m in stock.modules()}, torch.get_rng_state()
    HookedModel(stock, task="classification", role="student")
    assert {m: m.training for m in stock.modules()} == before
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in stock.modules())


def test_modes_are_put_back_whatever_happens() -> None:
    stock = tiny("bert", "classification").train()
    with pytest.raises(KeyError), still(stock):
        assert not any(module.training for module in stock.modules()) and not torch.is_grad_enabled()
        raise KeyError
    assert all(module.training for module in stock.modules())


def test_a_model_without_memory_is_named_without_a_forward() -> None:
    stock = tiny("bert", "classification")
    model = HookedModel(stock, task="classification", role="student")
    stock.to("meta")
    found = measured(stock, "bert.encoder.layer", range(3), model.hook_points(), {})
    assert found.hook_points == model.hook_points() and found.returned == (None, None, None)


def test_the_tokens_are_plain_ones() -> None:
    stock = tiny("bert", "classification")
    ids = few_tokens(stock, 2, 6)["input_ids"]
    assert ids.shape == (2, 6) and ids.unique().numel() == 12
    assert not set(ids.flatten().tolist()) & {1, 2, 3} and int(ids.max()) < VOCABULARY


def test_weights_that_are_fetched_when_needed_can_run(tmp_path: Path) -> None:
    """Some weights of a model spread by accelerate are on no device between forward passes."""
    stock = tiny_of("gptj", "causal_lm")
    stock.save_pretrained(tmp_path / "model")
    spread = {"transformer.wte": "cpu", "transformer.h.0": "cpu", "transformer.h.1": "disk", "transformer.h.2": "disk"}
    spread |= {"transformer.drop": "cpu", "transformer.ln_f": "cpu", "lm_head": "cpu"}
    again = type(stock).from_pretrained(tmp_path / "model", device_map=spread, offload_folder=str(tmp_path / "disk"))
    assert any(parameter.is_meta for parameter in again.parameters()) and can_run(again)
    model = HookedModel(again, task="causal_lm", role="teacher")
    self_test(model)
    assert model._returned == (2, 2, 2)
