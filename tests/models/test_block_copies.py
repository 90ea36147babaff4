"""A cut student computes what its blocks computed in the teacher, or there is none."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedModel

from causalkd.models.block_copies import check_copy, copy_weights
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.students import student_from_teacher
from tests.tiny import _COMMON, _WIDTHS, tiny, tiny_inputs

INPUTS = tiny_inputs()
_SIZES = _COMMON | _WIDTHS | {"num_hidden_layers": 4, "num_key_value_heads": 2}
_GPT2 = {"n_embd": 32, "n_head": 4, "n_layer": 4, "n_positions": 40, "vocab_size": 97}
_BY_NUMBER: dict[str, dict[str, Any]] = {
    "smollm3": {**_SIZES, "no_rope_layers": [1, 0, 1, 0], "use_sliding_window": False},
    "gemma2": {**_SIZES, "head_dim": 8, "sliding_window": 4},
    "cohere2": {**_SIZES, "sliding_window": 4, "sliding_window_pattern": 2},
    "gemma4_text": {
        **_SIZES,
        **{"head_dim": 8, "global_head_dim": 8, "sliding_window": 4, "num_kv_shared_layers": 0},
        **{"vocab_size_per_layer_input": 97, "hidden_size_per_layer_input": 8},
    },
}


def _model(kind: str, settings: dict[str, Any]) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**settings)).eval()
        with torch.no_grad():
            for weight in model.parameters():
                weight.normal_(0.0, 0.2) if weight.dim() > 1 else weight.add_(0.1 * torch.randn_like(weight))
    return model


def _teacher(kind: str, settings: dict[str, Any]) -> HookedModel:
    return HookedModel(_model(kind, settings), task="causal_lm", role="teacher")


class _LeftOut(nn.Module):
    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.attention_type = getattr(block, "attention_type", None)

    def forward(self, hidden: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return hidden


@pytest.mark.parametrize("kind", _BY_NUMBER)
def test_what_goes_by_number_follows_the_blocks(kind: str, tmp_path: Path) -> None:
    teacher = _teacher(kind, _BY_NUMBER[kind])
    student = student_from_teacher(teacher, layers=[1, 3])
    without = copy.deepcopy(teacher.model)
    blocks = without.get_submodule(teacher.adapter.translate_transformer_lens_path("blocks"))
    for layer in (0, 2):
        blocks[layer] = _LeftOut(blocks[layer])  # type: ignore[index]
    if kind != "gemma4_text":  # whose stack hands each block inputs of its own, so that it needs no oracle by layer
        expected = without(**INPUTS, use_cache=False).logits
        assert torch.equal(student.run(INPUTS).logits, expected)
    student.save_pretrained(tmp_path)
    stock = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert torch.equal(stock(**INPUTS).logits, student.run(INPUTS).logits)


def test_a_scale_by_number_is_refused_by_its_name() -> None:
    teacher = _teacher("gpt2", {**_GPT2, "scale_attn_by_inverse_layer_idx": True})
    with pytest.raises(ValueError) as caught:
        student_from_teacher(teacher, layers=[1, 3])
    message = str(caught.value)
    assert message.startswith(
        "blocks [1, 3] of this GPT2LMHeadModel compute something else as a student's blocks 0–1 than they do in the "
        "teacher:\n- attn.scaling of block 0 is "
    )
    assert "\n- the output of block 0 departs from that of the teacher's block 1 by " in message
    assert "This architecture's code reads " in message and "scale_attn_by_inverse_layer_idx" in message
    assert student_from_teacher(teacher, layers=[0, 1]).n_layers == 2


def test_a_weight_that_a_student_has_no_room_for_is_named() -> None:
    settings = {**_SIZES, "sliding_window": 4, "global_attn_every_n_layers": 2}
    settings.pop("num_key_value_heads")
    teacher = _teacher("modernbert-decoder", settings)
    with pytest.raises(ValueError, match=r"1 weights have no counterpart: model\.layers\.1\.attn_norm\.weight"):
        student_from_teacher(teacher, layers=[1, 3])
    assert student_from_teacher(teacher, layers=[0, 2]).n_layers == 2


def _copied(layers: tuple[int, ...] = (2, 0)) -> tuple[HookedModel, HookedModel, tuple[str, ...]]:
    teacher = HookedModel(tiny("llama", "causal_lm"), task="causal_lm", role="teacher")
    student = HookedModel(tiny("llama", "causal_lm", seed=1, layers=2), task="causal_lm", role="student")
    return teacher, student, copy_weights(teacher, student, layers)


@pytest.mark.parametrize("layers", [(2, 0), (1, 1), (0, 2)])
def test_blocks_in_any_order(layers: tuple[int, ...]) -> None:
    teacher, student, left = _copied(layers)
    assert left == ()
    student.model.train()
    check_copy(teacher, student, layers, left)
    assert student.model.training and all(weight.requires_grad for weight in student.model.parameters())


def test_one_wrong_number_in_a_block_is_found() -> None:
    teacher, student, left = _copied()
    with torch.no_grad():
        student.blocks[1].get_parameter("mlp.up_proj.weight")[0, 0] += 0.01
    with pytest.raises(ValueError, match=r"the output of block 1 departs from that of the teacher's block 0 by "):
        check_copy(teacher, student, (2, 0), left)


def test_a_wrong_head_is_found() -> None:
    teacher, student, left = _copied()
    with torch.no_grad():
        student.model.get_parameter("lm_head.weight")[0, 0] += 0.01
    with pytest.raises(ValueError, match="the logits depart from the teacher's by "):
        check_copy(teacher, student, (2, 0), left)


def test_a_window_longer_than_the_probe_is_found() -> None:
    teacher, student, left = _copied()
    vars(teacher.blocks[2].self_attn)["sliding_window"] = 4096
    vars(student.blocks[0].self_attn)["sliding_window"] = None
    with pytest.raises(
        ValueError, match=r"self_attn\.sliding_window of block 0 is None, of the teacher's block 2 4096"
    ):
        check_copy(teacher, student, (2, 0), left)


def test_tied_weights_stay_tied_and_another_precision_stays() -> None:
    model = tiny("gpt2", "causal_lm", dtype=torch.bfloat16)
    model.transformer.h[2].ln_1.float()
    teacher = HookedModel(model, task="causal_lm", role="teacher")
    student = HookedModel(
        tiny("gpt2", "causal_lm", seed=1, layers=1, dtype=torch.bfloat16), task="causal_lm", role="student"
    )
    assert copy_weights(teacher, student, [2]) == ()
    assert student.model.lm_head.weight is student.model.transformer.wte.weight
    assert student.model.transformer.h[0].ln_1.weight.dtype == torch.float32
    assert student.model.transformer.h[0].ln_2.weight.dtype == torch.bfloat16
