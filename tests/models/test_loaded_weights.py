"""Checkpoints that lack weights, or have more than the model of their configuration."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForQuestionAnswering, BartConfig, BartForCausalLM, T5Config, T5EncoderModel

from causalkd.models.load import load_model
from causalkd.models.loaded_weights import LoadedKeys, check_lacking, check_unused, read_weights
from tests.architectures.zoo import tiny_of
from tests.models.small import hooked, same_weights
from tests.tiny import tiny

Weights = dict[str, Tensor]
BLOCK = "encoder.layer.1.output.dense.weight"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier, and its body saved alone."""
    base = tmp_path_factory.mktemp("saved")
    hooked("bert", "classification").save_pretrained(base / "head")
    tiny("bert", "classification").bert.save_pretrained(base / "body")
    return base


def _changed(folder: Path, goal: Path, change: Callable[[Weights], Weights]) -> Path:
    shutil.copytree(folder, goal)
    file = goal / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    return goal


def _without(weights: Weights) -> Weights:
    return {name: weight for name, weight in weights.items() if not name.endswith(BLOCK)}


def _of_another_size(weights: Weights) -> Weights:
    return {name: weight[:5].clone() if name.endswith(BLOCK) else weight for name, weight in weights.items()}


def _renamed(weights: Weights) -> Weights:
    return {f"module.{name}": weight for name, weight in weights.items()}


@pytest.mark.parametrize("new_head", [False, True])
@pytest.mark.parametrize("folder", ["head", "body"])
@pytest.mark.parametrize("change", [_without, _of_another_size, _renamed])
def test_a_body_is_never_at_random(
    saved: Path, tmp_path: Path, change: Callable[[Weights], Weights], folder: str, new_head: bool
) -> None:
    """Before, with a new head, only transformers' log told that blocks had lost their weights."""
    given = _changed(saved / folder, tmp_path / "given", change)
    with pytest.raises(ValueError, match=r"has no weights of the right size for .*would start at random") as caught:
        load_model(given, task="classification", role="student", new_head=new_head)
    named = "it has module." if change is _renamed else f"for bert.{BLOCK}."
    assert named in str(caught.value)


def test_a_stack_alone_is_refused_for_a_head_of_two_stacks(tmp_path: Path) -> None:
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": 9, "is_encoder_decoder": False}
    BartForCausalLM(BartConfig(**sizes)).save_pretrained(tmp_path / "decoder")
    small = T5Config(d_model=8, d_ff=8, num_layers=1, num_heads=2, d_kv=4, vocab_size=9)
    T5EncoderModel(small).save_pretrained(tmp_path / "encoder")
    heads = {"decoder": ("BartForCausalLM", "BartForSequenceClassification")}
    heads["encoder"] = ("T5EncoderModel", "T5ForSequenceClassification")
    for folder, (saved, head) in heads.items():
        what = f"holds a {saved}, and its classification head would be {head}, which is an encoder-decoder model"
        for new_head in (True, False):
            with pytest.raises(ValueError, match=what):
                load_model(tmp_path / folder, task="classification", role="student", new_head=new_head)


def test_a_pooler_belongs_to_the_head(saved: Path, tmp_path: Path) -> None:
    """A masked language model has none."""
    hooked("bert", "masked_lm").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"for bert.pooler.dense.bias, .*classifier.* which the classification head"):
        load_model(tmp_path, task="classification", role="student")
    load_model(tmp_path, task="classification", role="student", new_head=True)


@pytest.mark.parametrize("folder", ["head", "body"])
def test_a_checkpoint_of_more_blocks_than_its_configuration(saved: Path, tmp_path: Path, folder: str) -> None:
    def deeper(weights: Weights) -> Weights:
        last = {name: weight for name, weight in weights.items() if "layer.2." in name}
        return weights | {name.replace("layer.2.", "layer.3."): weight.clone() for name, weight in last.items()}

    given = _changed(saved / folder, tmp_path / "given", deeper)
    with pytest.raises(ValueError, match=r"layer\.3\..*of its configuration, of 3 layers, has no place"):
        load_model(given, task="classification", role="student", new_head=True)


def test_a_head_of_another_task_is_no_part_of_a_new_one(tmp_path: Path) -> None:
    """Both heads of a Llama have one name, and that of tags has a bias too."""
    hooked("llama", "token_classification").save_pretrained(tmp_path)
    load_model(tmp_path, task="classification", role="student", new_head=True)
    with pytest.raises(ValueError, match=r"score\.bias, for which a LlamaForSequenceClassification"):
        load_model(tmp_path, task="classification", role="student")


def test_weights_of_blocks_that_the_configuration_turns_off(tmp_path: Path) -> None:
    def with_biases(weights: Weights) -> Weights:
        return weights | {"model.layers.0.self_attn.q_proj.bias": torch.zeros(32)}

    hooked("llama").save_pretrained(tmp_path / "saved")
    given = _changed(tmp_path / "saved", tmp_path / "given", with_biases)
    with pytest.raises(ValueError, match=r"q_proj.bias, for which a LlamaForCausalLM of its configuration"):
        load_model(given, task="causal_lm", role="teacher")


def test_masks_and_tables_of_older_versions_are_no_weights(tmp_path: Path) -> None:
    def with_tables(weights: Weights) -> Weights:
        return weights | {
            f"transformer.h.0.attn.{name}": torch.zeros(1) for name in ("bias", "masked_bias", "causal_mask")
        }

    model = hooked("gpt2")
    model.save_pretrained(tmp_path / "saved")
    given = _changed(tmp_path / "saved", tmp_path / "given", with_tables)
    assert same_weights(load_model(given, task="causal_lm", role="teacher"), model)


@pytest.mark.parametrize("model_type", ["llama", "qwen3_moe", "qwen3_next"])
def test_a_head_whose_body_has_another_name_takes_the_body(model_type: str, tmp_path: Path) -> None:
    """Before, question answering started from random blocks, and the log alone said so."""
    given = tiny_of(model_type, "causal_lm")
    given.save_pretrained(tmp_path / "given")
    model = load_model(tmp_path / "given", task="question_answering", role="student", new_head=True)
    body = model.model.base_model.state_dict()
    assert model.model.base_model.config is model.model.config
    model.model.set_attn_implementation("eager")
    assert {part.config._attn_implementation for part in model.model.modules() if hasattr(part, "config")} == {"eager"}
    assert all(torch.equal(weight, body[name]) for name, weight in given.base_model.state_dict().items())
    model.save_pretrained(tmp_path / "saved")
    again = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "saved").state_dict()
    assert all(torch.equal(weight, again[name]) for name, weight in model.model.state_dict().items())


def test_a_body_under_the_other_name_is_not_read_back(tmp_path: Path) -> None:
    tiny_of("llama", "question_answering").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"model.embed_tokens.weight, .*but it has .*transformer.embed_tokens.weight"):
        load_model(tmp_path, task="causal_lm", role="student", new_head=True)


def test_what_is_read_says_by_which_weights_it_differs(saved: Path) -> None:
    config = tiny("bert", "masked_lm").config
    model, keys = read_weights(str(saved / "head"), "masked_lm", config, {})
    assert {"classifier.weight", "bert.pooler.dense.weight"} <= set(keys.unused)
    assert any(name.startswith("cls.predictions") for name in keys.lacking)
    with pytest.raises(ValueError, match="which the masked_lm head needs"):
        check_lacking(model, keys, "it", "masked_lm", new_head=False)
    check_lacking(model, keys, "it", "masked_lm", new_head=True)
    check_unused(hooked("bert", "masked_lm"), keys, "it", new_head=True)
    head, tables = "cls.predictions.transform.dense.scale", ("bert.embeddings.position_ids", "cls.predictions.version")
    check_unused(hooked("bert", "masked_lm"), LoadedKeys((), tables), "it", new_head=False)
    for key in ("bert.encoder.layer.9.x", head, "bert.embeddings.LayerNorm.scale", "embeddings.word_embeddings.bias"):
        with pytest.raises(ValueError, match=f"it has the weights {key}, for which"):
            check_unused(hooked("bert", "masked_lm"), LoadedKeys((), (key, *tables)), "it", new_head=False)
