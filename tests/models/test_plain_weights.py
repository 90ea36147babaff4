"""What becomes of adapters and quantised weights when a model is cut, hooked or saved."""

import copy
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import peft
import pytest
import torch
from torch import nn
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedModel
from transformers.quantizers import HfQuantizer

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.plain_weights import _put_back_codes, has_adapters, plain_model, stored_weights
from causalkd.models.students import student_from_teacher
from tests.tiny import _COMMON, _WIDTHS, tiny, tiny_inputs

INPUTS = tiny_inputs()


def _adapted(model: PreTrainedModel, targets: list[str], **options: Any) -> PreTrainedModel:
    """LoRA adapters that change the outputs: as they start, peft's change nothing."""
    is_gpt2 = model.config.model_type == "gpt2"  # whose linear layers keep their weights as (in, out)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=targets, fan_in_fan_out=is_gpt2, **options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        peft.inject_adapter_in_model(config, model)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(weight, std=0.2)
    return model.eval()


class _Codes(nn.Linear):
    """A linear layer whose weight is eight-bit codes, as bitsandbytes keeps them."""

    def __init__(self, linear: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features, self.bias = linear.in_features, linear.out_features, linear.bias
        self.scale = float(linear.weight.detach().abs().max() / 127)
        codes = (linear.weight.detach() / self.scale).round().to(torch.int8)
        self.weight = nn.Parameter(codes, requires_grad=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(input, self.weight.float() * self.scale, self.bias)


class _Quantizer(HfQuantizer):
    def __init__(self) -> None:
        self.quantization_config: Any = SimpleNamespace(quant_method="codes")

    is_trainable = False

    def is_serializable(self) -> bool:
        return True

    def _dequantize(self, model: Any, dtype: torch.dtype | None = None) -> Any:
        for name, module in list(model.named_modules()):
            if isinstance(module, _Codes):
                linear = nn.Linear(module.in_features, module.out_features, module.bias is not None, dtype=dtype)
                linear.weight.data = module.weight.data.float() * module.scale
                linear.bias = module.bias
                parent, _, child = name.rpartition(".")
                setattr(model.get_submodule(parent), child, linear)
        return model


class _Repacking(_Codes):
    """A layer that keeps its codes in another order once it has run, and puts them back to be saved."""

    is_packed = False

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.is_packed and not torch.is_grad_enabled():
            self._turn()
        codes = self.weight.flip(0) if self.is_packed else self.weight
        return nn.functional.linear(input, codes.float() * self.scale, self.bias)

    def _save_to_state_dict(self, *args: Any) -> None:
        if self.is_packed:
            self._turn()
        super()._save_to_state_dict(*args)

    def _turn(self) -> None:
        self.weight.data, self.is_packed = self.weight.data.flip(0), not self.is_packed


class _OneWay(_Quantizer):
    _dequantize = HfQuantizer._dequantize


class _Wrong(_Quantizer):
    def _dequantize(self, model: Any, dtype: torch.dtype | None = None) -> Any:
        super()._dequantize(model, dtype)
        model.model.layers[1].mlp.down_proj.weight.data *= 1.5
        return model


def _quantised(quantizer: type[_Quantizer] = _Quantizer, codes: type[_Codes] = _Codes) -> PreTrainedModel:
    model: Any = tiny("llama", "causal_lm")
    for block in model.model.layers:
        for part, name in ((block.self_attn, "o_proj"), (block.mlp, "down_proj")):
            setattr(part, name, codes(getattr(part, name)))
    model.hf_quantizer, model.is_quantized = quantizer(), True
    model.config.quantization_config = {"quant_method": "codes"}
    return model


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-5, rtol=1e-5)


def test_a_stock_model_is_its_own_plain_model() -> None:
    model = tiny("bert", "masked_lm")
    assert plain_model(model) is model and not has_adapters(model)


@pytest.mark.parametrize(
    ("architecture", "targets"),
    [("llama", ["q_proj", "o_proj", "down_proj"]), ("gpt2", ["c_attn", "c_proj"]), ("opt", ["v_proj", "fc2"])],
)
def test_adapters_are_merged_into_a_copy(architecture: str, targets: list[str]) -> None:
    model = _adapted(tiny(architecture, "causal_lm"), targets)
    before = copy.deepcopy(model.state_dict())
    plain = plain_model(model)
    stock = tiny(architecture, "causal_lm")
    assert plain.state_dict().keys() == stock.state_dict().keys()
    logits = plain(**INPUTS).logits
    assert _same(logits, model(**INPUTS).logits) and not _same(logits, stock(**INPUTS).logits)
    assert has_adapters(model) and all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


def test_a_student_of_an_adapted_teacher_has_what_it_learnt() -> None:
    model = _adapted(tiny("llama", "causal_lm"), ["q_proj", "down_proj"])
    teacher = HookedModel(model, task="causal_lm", role="teacher")
    student = student_from_teacher(teacher, every=1)
    assert _same(student.run(INPUTS).logits, teacher.run(INPUTS).logits)
    assert not has_adapters(student.model)


def test_an_adapted_student_is_saved_whole(tmp_path: Path) -> None:
    model = _adapted(tiny("llama", "causal_lm"), ["q_proj", "down_proj"])
    student = HookedModel(model, task="causal_lm", role="student")
    student.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("adapter*"))
    stock, found = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not found["missing_keys"] and not found["unexpected_keys"]
    assert _same(stock.eval()(**INPUTS).logits, student.run(INPUTS).logits)


def test_columns_of_an_adapted_layer_that_is_not_square() -> None:
    """A head's columns are those of what enters the layer, whose width no weight of an adapter shows."""
    settings = {**_COMMON, **_WIDTHS, "num_hidden_layers": 2, "num_key_value_heads": 2, "head_dim": 16}
    stock = AutoModelForCausalLM.from_config(CONFIG_MAPPING["qwen3"](**settings))
    adapted = _adapted(copy.deepcopy(stock), ["o_proj"])
    for model in (stock, adapted):
        hook_point = HookedModel(model, task="causal_lm", role="teacher").hook_point("head_attention_value_output", 0)
        assert (hook_point.width, hook_point.heads) == (64, 4)
    assert has_adapters(adapted) and not has_adapters(stock)


def test_adapters_that_cannot_be_merged() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # peft foresees what is refused here
        tied = _adapted(tiny("opt", "causal_lm"), ["embed_tokens"])
    with pytest.raises(ValueError, match="has an adapter on its word embeddings, which its head shares"):
        plain_model(tied)
    beside = _adapted(tiny("llama", "classification"), ["q_proj"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft reads a property that transformers is about to drop
        whole = peft.get_peft_model(
            tiny("llama", "classification"),
            peft.LoraConfig(r=4, target_modules=["q_proj"], task_type="SEQ_CLS", modules_to_save=["score"]),
        ).get_base_model()
    assert has_adapters(plain_model(beside)) is False
    with pytest.raises(ValueError, match="score of this LlamaForSequenceClassification is a trained copy beside"):
        plain_model(whole)


def test_quantised_weights_become_numbers() -> None:
    model = _quantised()
    teacher = HookedModel(model, task="causal_lm", role="teacher")
    assert teacher.hook_point("attention_value_output", 0).width == 32
    student = student_from_teacher(teacher, every=1)
    assert _same(student.run(INPUTS).logits, teacher.run(INPUTS).logits)
    assert "quantization_config" not in student.model.config.to_dict()
    assert all(weight.requires_grad for weight in student.model.parameters())
    assert model.is_quantized and model.config.to_dict()["quantization_config"] == {"quant_method": "codes"}


def test_quantised_weights_that_stay_codes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"is quantised and transformers cannot dequantise it \(codes has no"):
        student_from_teacher(HookedModel(_quantised(_OneWay), task="causal_lm", role="teacher"), every=2)
    silent: Any = _quantised()
    del silent.hf_quantizer
    with pytest.raises(
        ValueError, match=r"6 weights .* \(model.layers.0.self_attn.o_proj.weight holds torch.int8 codes\)"
    ):
        plain_model(silent)
    both = _adapted(_quantised(), ["q_proj"])
    with pytest.raises(ValueError, match="is quantised and has adapters"):
        plain_model(both)


def test_offloaded_weights_are_refused() -> None:
    model = tiny("llama", "causal_lm")
    model.model.layers[1].to("meta")
    with pytest.raises(ValueError, match=r"9 weights .* \(model.layers.1.self_attn.q_proj.weight is offloaded\)"):
        plain_model(model)


def test_a_student_is_cut_from_what_the_layers_compute_even_where_they_repack_their_codes() -> None:
    teacher = HookedModel(_quantised(codes=_Repacking), task="causal_lm", role="teacher")
    assert any(isinstance(layer, _Repacking) and layer.is_packed for layer in teacher.model.modules())
    student = student_from_teacher(teacher, every=1)
    assert _same(student.run(INPUTS).logits, teacher.run(INPUTS).logits)


def test_a_layer_that_computes_something_else_when_dequantised_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1 of \d+ layers of this .*1\.mlp\.down_proj departs by 0\.5 of"):
        plain_model(_quantised(_Wrong))


def test_asking_for_the_weights_of_a_quantised_model_changes_nothing_in_it() -> None:
    teacher = HookedModel(_quantised(codes=_Repacking), task="causal_lm", role="teacher")
    found = stored_weights(teacher.model)
    fresh = _quantised(codes=_Repacking).state_dict()
    assert found.keys() == fresh.keys() and all(torch.equal(found[name], fresh[name]) for name in fresh)
    layers = [layer for layer in teacher.model.modules() if isinstance(layer, _Repacking)]
    assert layers and all(layer.is_packed for layer in layers)


def test_scales_that_bitsandbytes_leaves_turned_are_put_back() -> None:
    model: Any = _quantised()
    weight = model.model.layers[0].mlp.down_proj.weight
    scales = torch.arange(6)
    weight.quant_state = SimpleNamespace(absmax=scales.reshape(3, 2).T)  # it reads blocks × rows, row by row
    _put_back_codes(model)
    assert torch.equal(weight.quant_state.absmax, scales)
    _put_back_codes(model)
    assert torch.equal(weight.quant_state.absmax, scales)
