"""Precision, devices, quantisation and revision of a loaded checkpoint."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import QuantoConfig

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import load_model, move_to
from causalkd.models.loading_options import check_in_memory, is_spread, loading_options, named_options
from causalkd.models.students import student_from_teacher
from tests.tiny import tiny, tiny_inputs

INPUTS = tiny_inputs()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("checkpoint")
    tiny("llama", "causal_lm").save_pretrained(made)
    return made


def test_only_what_is_asked_for_is_passed_on() -> None:
    assert loading_options() == {}
    assert loading_options(attention="eager", dtype=torch.float16, revision="v1", device_map={"": "cpu"}) == {
        "attn_implementation": "eager",
        "dtype": torch.float16,
        "revision": "v1",
        "device_map": {"": "cpu"},
    }


def test_precision_and_device(folder: Path) -> None:
    teacher = load_model(folder, task="causal_lm", role="teacher", dtype=torch.bfloat16, device_map="cpu")
    assert {weight.dtype for weight in teacher.model.parameters()} == {torch.bfloat16}
    student = load_model(folder, task="causal_lm", role="student", dtype=torch.bfloat16)
    assert {weight.dtype for weight in student.model.parameters()} == {torch.float32}
    assert student_from_teacher(teacher, layers=[1]).model.dtype == torch.float32
    stock = tiny("llama", "causal_lm", dtype=torch.bfloat16)
    assert torch.equal(teacher.run(INPUTS).logits, stock(**INPUTS).logits)


def test_a_folder_has_no_revisions(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"revision 'v1' was given for .*, which is a folder and has no revisions"):
        load_model(folder, task="causal_lm", role="teacher", revision="v1")


def test_a_revision_that_does_not_exist(folder: Path) -> None:
    with pytest.raises(ValueError, match="no checkpoint 'nobody/nothing'"):
        load_model("nobody/nothing", task="causal_lm", role="teacher", revision="v1")


def test_a_student_is_not_quantised(folder: Path) -> None:
    with pytest.raises(ValueError, match="is to be a student and quantised, but no step of an optimizer moves integer"):
        load_model(folder, task="causal_lm", role="student", quantization=QuantoConfig())


def test_a_spread_model_stays_where_it_is() -> None:
    model = HookedModel(tiny("llama", "causal_lm"), task="causal_lm", role="teacher")
    assert not is_spread(model.model)
    vars(model.model)["hf_device_map"] = {"model.embed_tokens": 0, "model.layers": 1}
    assert is_spread(model.model)
    move_to(model, torch.device("meta"))
    assert {weight.device.type for weight in model.model.parameters()} == {"cpu"}
    vars(model.model)["hf_device_map"] = {"": 0}
    move_to(model, torch.device("meta"))
    assert {weight.device.type for weight in model.model.parameters()} == {"meta"}


def test_weights_out_of_memory_are_refused() -> None:
    model = tiny("llama", "causal_lm")
    check_in_memory(model, "tiny")
    assert isinstance(model.model.layers, nn.ModuleList)
    model.model.layers[1].to("meta")
    with pytest.raises(
        ValueError, match=r"device_map leaves 9 weights of tiny out .* such as model.layers.1.self_attn"
    ):
        check_in_memory(model, "tiny")


def test_options_as_a_recipe_names_them() -> None:
    assert named_options("bfloat16", "auto") == {"dtype": torch.bfloat16, "device_map": "auto"}
    assert named_options(None, None) == {"dtype": None, "device_map": None}
