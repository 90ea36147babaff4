"""The self-test refuses what does not do what it must, and says where and by how much."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from causalkd.models.hooks import model_inputs as stock_inputs
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import load_model, model_from_config
from causalkd.models.self_test import self_test
from causalkd.task_types import Task
from tests.architectures.zoo import tiny_config, tiny_of
from tests.tiny import MODELS, tiny


def _hooked(architecture: str, task: Task) -> HookedModel:
    return HookedModel(tiny(architecture, task), task=task, role="student")


def _changed(model: HookedModel, layer: int, change: Callable[[Tensor], Tensor]) -> None:
    """Has what leaves a block changed."""
    model.blocks[layer].register_forward_hook(lambda module, args, output: change(output))


@pytest.mark.parametrize(("architecture", "task"), MODELS)
def test_a_right_model_passes(architecture: str, task: Task) -> None:
    model = _hooked(architecture, task)
    ran: list[int] = []
    model.blocks[0].register_forward_hook(lambda *_: ran.append(1))
    self_test(model)
    assert ran  # it was tried, and not passed over


def test_positions_that_padding_shifts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _hooked("gpt2", "question_answering")
    monkeypatch.setattr(stock_inputs, "_takes_positions", lambda model: False)
    with pytest.raises(ValueError, match=r"a row that is padded on the left differs from the row alone by 0\.\d+ of"):
        self_test(model)


def test_padding_that_is_seen() -> None:
    model = _hooked("bert", "masked_lm")
    _changed(model, 1, lambda hidden: hidden + hidden.mean(1, keepdim=True))
    with pytest.raises(ValueError, match="a row that is padded on the right differs from the row alone by"):
        self_test(model)


def test_a_model_that_does_not_run_in_float64() -> None:
    model = HookedModel(tiny_of("mpt", "causal_lm").double(), task="causal_lm", role="teacher")
    with pytest.raises(ValueError, match=r"(?s)differs from the row alone by nan.*load it with dtype=torch\.float32"):
        self_test(model)


def test_tokens_that_see_later_ones() -> None:
    model = _hooked("llama", "causal_lm")
    _changed(model, 1, lambda hidden: hidden + hidden.flip(1))
    with pytest.raises(ValueError, match="later tokens change a token by"):
        self_test(model)


def test_a_language_model_that_sees_what_it_predicts() -> None:
    config = tiny_config("electra", "causal_lm")
    config.is_decoder = False
    with pytest.raises(ValueError, match=r"ElectraForCausalLM cannot be used.*\n- later tokens change a token by"):
        model_from_config(config, None, task="causal_lm", role="student")


def test_blocks_that_hand_on_more_than_hidden_states() -> None:
    model = _hooked("gpt2", "causal_lm")
    told: list[bool] = []

    def first(hidden: Tensor) -> Tensor:
        told.append(True)
        return hidden

    _changed(model, 0, first)
    _changed(model, 2, lambda hidden: hidden.flip(-1) if told and told.pop() else hidden)
    with pytest.raises(ValueError, match=r"a forward that starts at block 2 differs by"):
        self_test(model)


def test_a_model_that_computes_something_else_each_time() -> None:
    model = _hooked("gpt2", "causal_lm")
    _changed(model, 1, lambda hidden: hidden + torch.rand(hidden.shape))
    with pytest.raises(ValueError, match="with hooks the stock logits differ by"):
        self_test(model)


def test_it_runs_where_a_model_is_loaded(tmp_path) -> None:
    stock = tiny("gpt2", "causal_lm")
    stock.save_pretrained(tmp_path)
    assert load_model(tmp_path, task="causal_lm", role="teacher").n_layers == 3


def test_it_leaves_the_model_as_it_was() -> None:
    model = HookedModel(tiny("bert", "masked_lm", dropout=0.5).train(), task="masked_lm", role="student")
    state = torch.get_rng_state()
    self_test(model)
    assert all(module.training for module in model.model.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.model.modules())
