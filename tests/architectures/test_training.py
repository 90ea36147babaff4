"""The check of what two steps of training move finds what they leave."""

import pytest
from torch import nn
from transformers import LlamaForCausalLM

from causalkd.models.hooks.hooked_model import HookedModel
from tests.architectures import training
from tests.architectures.options import OPTIONS
from tests.architectures.training import UNMOVED, unmoved
from tests.architectures.zoo import tiny_of


def _pair() -> tuple[HookedModel, LlamaForCausalLM]:
    stock = tiny_of("llama", "causal_lm", seed=1)
    assert isinstance(stock, LlamaForCausalLM)
    return HookedModel(tiny_of("llama", "causal_lm"), task="causal_lm", role="teacher"), stock


def test_a_parameter_that_nothing_reads_is_found() -> None:
    teacher, stock = _pair()
    stock.model.layers[1].left = nn.Linear(2, 2)
    found = unmoved("DIITO", teacher, HookedModel(stock, task="causal_lm", role="student"))
    assert found == "2 of 32 parameters do not move, such as model.layers.1.left.weight"


def test_what_reads_no_text_is_excused_by_name() -> None:
    teacher, stock = _pair()
    stock.model.vision_tower = nn.Linear(2, 2)
    assert "vision_tower" in UNMOVED
    assert unmoved("ATKD", teacher, HookedModel(stock, task="causal_lm", role="student")) is None


def test_one_step_moves_only_one_of_the_two_maps_of_an_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_STEPS", 1)
    found = unmoved("ATKD", *OPTIONS["LoRA student"]())
    assert found is not None and "lora_A" in found
