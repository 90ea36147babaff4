"""What a checkpoint says about itself before its weights are read."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
from transformers import CONFIG_MAPPING
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.models import checkpoints
from causalkd.models.checkpoints import (
    find_tokenizer,
    has_head,
    load_tokenizer,
    locate,
    read_config,
    read_tokenizer,
    tasks_of,
)
from causalkd.models.load import load_model
from causalkd.task_types import TASK_TYPES, Task
from tests.architectures.zoo import tiny_of
from tests.data.tiny_tokenizers import bert_like
from tests.models.small import with_adapters
from tests.tiny import MODELS, TASKS_OF, tiny


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("saved")
    for architecture, task in (("bert", "classification"), ("gpt2", "causal_lm"), ("opt", "question_answering")):
        tiny(architecture, task, layers=1).save_pretrained(base / f"{architecture}-{task}")
    tiny("bert", "classification", layers=1).bert.save_pretrained(base / "headless")
    (base / "empty").mkdir()
    return base


def test_the_head_a_checkpoint_was_saved_with(saved: Path) -> None:
    assert has_head(saved / "bert-classification", "classification")
    assert not has_head(saved / "bert-classification", "masked_lm")
    assert not has_head(saved / "headless", "classification")
    assert not has_head(saved / "gpt2-causal_lm", "masked_lm")  # which transformers does not have


@pytest.mark.parametrize(
    ("name", "first", "others"),
    [
        ("bert-classification", "classification", {"masked_lm", "regression", "token_classification"}),
        ("gpt2-causal_lm", "causal_lm", {"classification", "question_answering"}),
        ("opt-question_answering", "question_answering", {"causal_lm", "classification"}),
        ("headless", "masked_lm", {"classification"}),
    ],
)
def test_the_tasks_a_checkpoint_could_do(saved: Path, name: str, first: Task, others: set[Task]) -> None:
    tasks = tasks_of(saved / name)
    assert tasks[0] == first and others <= set(tasks)


# The encoders with a decoder that TransformerLens names.
ENCODER_DECODERS = (
    *("bart", "blenderbot", "florence2", "led", "longt5", "m2m_100", "marian", "mbart", "mt5", "pegasus"),
    *("switch_transformers", "t5", "t5gemma", "t5gemma2"),
)


@pytest.mark.parametrize("kind", ENCODER_DECODERS)
def test_an_encoder_with_a_decoder_is_refused_before_its_weights_are_read(kind: str, tmp_path: Path) -> None:
    CONFIG_MAPPING[kind](architectures=["Named"]).save_pretrained(tmp_path)
    refused = "Named is an encoder-decoder model: .* choose a model that is an encoder or a decoder alone"
    with pytest.raises(ValueError, match=refused):
        tasks_of(tmp_path)
    for task in TASK_TYPES:
        with pytest.raises(ValueError, match=refused):
            load_model(tmp_path, task=task, role="teacher")


def test_the_command_line_refuses_an_encoder_with_a_decoder(tmp_path: Path) -> None:
    CONFIG_MAPPING["t5"](architectures=["T5ForConditionalGeneration"]).save_pretrained(tmp_path)
    done = CliRunner().invoke(app, ["check", "middle", "--teacher", str(tmp_path), "--student", str(tmp_path)])
    assert done.exit_code == 2 and "T5ForConditionalGeneration is an encoder-decoder model" in done.output


@pytest.mark.parametrize("architecture", TASKS_OF)
def test_every_head_of_every_architecture_is_known(architecture: str, tmp_path: Path) -> None:
    tiny(architecture, TASKS_OF[architecture][0], layers=1).config.save_pretrained(tmp_path)
    assert set(TASKS_OF[architecture]) <= set(tasks_of(tmp_path))
    assert len(MODELS) == sum(map(len, TASKS_OF.values()))


def test_names_that_do_not_exist(saved: Path) -> None:
    for name in (saved / "empty", saved / "nowhere", "no-such/model"):
        with pytest.raises(ValueError, match=r"no checkpoint .*Name a folder, a hub model, or one of minilm-l6"):
            read_config(name)


def test_a_folder_of_checkpoints_says_which_it_holds(tmp_path: Path) -> None:
    """Such as a run, whose student is a checkpoint."""
    for name in ("students/b-seed0", "students/a-seed0", "teacher"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"inside: .*students/a-seed0, .*b-seed0, .*teacher\. Name one of these, a "):
        read_config(tmp_path)


@pytest.mark.parametrize("with_config", [False, True])
def test_adapters_without_their_model(with_config: bool, tmp_path: Path) -> None:
    adapted = with_adapters()
    adapted.save_pretrained(tmp_path)
    if with_config:
        adapted.config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"holds adapters of peft and not the weights .*merge_and_unload\(\), save"):
        load_model(tmp_path, task="classification", role="teacher")


def test_a_configuration_that_is_there_and_will_not_do(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(
        ValueError, match=r"the configuration of checkpoint .* cannot be read: .*config.json is no JSON"
    ):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ValueError, match="is a vit, which is no language model; name another checkpoint"):
        tasks_of(tmp_path)


@pytest.mark.parametrize("name", ["bert-classification", "gpt2-causal_lm"])
def test_a_checkpoint_without_a_tokenizer(saved: Path, name: str) -> None:
    """transformers makes an empty one, to which every word is unknown."""
    assert find_tokenizer(saved / name) is None
    with pytest.raises(ValueError, match="has no tokenizer; save the one it was trained"):
        load_tokenizer(saved / name)
    assert load_model(saved / name, task=tasks_of(saved / name)[0], role="teacher").tokenizer is None


def test_the_tokenizer_of_a_checkpoint(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved / "bert-classification", tmp_path, dirs_exist_ok=True)
    bert_like().save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path).get_vocab() == bert_like().get_vocab()


def test_packaged_weights_are_found_or_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bert_like().save_pretrained(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "packaged_folder", lambda name: str(tmp_path))
        assert read_tokenizer("minilm-l6").get_vocab() == bert_like().get_vocab()
    assert locate("some/model") == "some/model"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="weights of minilm-l6 are not installed; run `make weights` once"):
        locate("minilm-l6")


@pytest.mark.parametrize("model_type", ["ctrl", "biogpt"])
def test_kinds_of_tokenizers_that_raise_where_there_is_none(model_type: str, tmp_path: Path) -> None:
    tiny_of(model_type, "causal_lm").save_pretrained(tmp_path)
    assert find_tokenizer(tmp_path) is None


def test_code_that_comes_with_a_checkpoint_is_neither_run_nor_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answered(*_: object) -> str:
        raise AssertionError("the user was asked whether to run a checkpoint's own code")

    monkeypatch.setattr("builtins.input", answered)
    (tmp_path / "config.json").write_text('{"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}')
    (tmp_path / "own.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    with pytest.raises(ValueError, match=r"the configuration of checkpoint .* cannot be read"):
        read_config(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("hidden_size", "wide", "Field 'hidden_size' expected int, got str"),
        ("id2label", 3, "AttributeError: 'int' object has no attribute 'items'"),
        ("id2label", {"0": 1}, "`id2label` is {0: 1}, but must give a name to each number from 0"),
        ("id2label", {"1": "a", "2": "b"}, "but must give a name to each number from 0"),
        ("architectures", 3, "`architectures` is 3, but must be a list of names"),
        ("dtype", "foo", "has no attribute 'foo'"),
        ("model_type", ["bert"], "`model_type` is ['bert'], but must be a name"),
        ("num_hidden_layers", 10**18, "`num_hidden_layers` is 1000000000000000000, but at most 1,000 is supported"),
        ("quantization_config", 3, "AttributeError"),
    ],
)
def test_a_faulty_value_of_a_configuration_is_told_with_its_file(
    saved: Path, tmp_path: Path, key: str, value: object, told: str
) -> None:
    config = json.loads((saved / "bert-classification" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, key: value}))
    with pytest.raises(ValueError) as caught:
        tasks_of(tmp_path)
    assert f"the configuration of checkpoint {tmp_path} cannot be read: " in str(caught.value)
    assert told in str(caught.value) and str(tmp_path / "config.json") in str(caught.value)


def test_only_sizes_of_the_type_of_model_have_bounds(saved: Path, tmp_path: Path) -> None:
    config = json.loads((saved / "bert-classification" / "config.json").read_text())
    notes = {"dataset_size": 10**12, "corpus": {"hidden_pages": 10**9}}
    (tmp_path / "config.json").write_text(json.dumps({**config, **notes}))
    assert read_config(tmp_path).dataset_size == 10**12
    for settings, key in (
        ({"model_type": "gpt2", "hidden_size": 10**9}, "hidden_size"),
        ({"model_type": "gemma3", "text_config": {"hidden_size": 10**9}}, "text_config.hidden_size"),
        ({"model_type": "qwen2_vl", "num_hidden_layers": 10**9}, "num_hidden_layers"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(settings))
        with pytest.raises(ValueError, match=f"`{key}` is 1000000000, but at most"):
            read_config(tmp_path)


@pytest.mark.parametrize("text", ["[]", "3", "null", "[" * 5000])
def test_a_configuration_of_another_kind_is_told_with_its_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json (holds \w+, not keys with values|is no JSON)"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("hidden_size", -1), ("hidden_size", 0), ("num_attention_heads", 0), ("hidden_act", "foo"), ("pad_token_id", 999)],
)
def test_a_value_with_which_no_model_can_be_built(saved: Path, tmp_path: Path, key: str, value: object) -> None:
    shutil.copytree(saved / "bert-classification", tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, key: value}))
    with pytest.raises(ValueError, match=r"no bert can be made of checkpoint .*; correct its config\.json"):
        load_model(tmp_path, task="classification", role="teacher")


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("tokenizer.json", "{", "is no JSON"),
        ("tokenizer.json", "", "is no JSON"),
        ("tokenizer.json", "[]", "holds list, not keys with values"),
        ("tokenizer.json", "{}", "KeyError: 'added_tokens'"),
        ("tokenizer_config.json", "[]", "holds list, not keys with values"),
        ("tokenizer_config.json", '{"tokenizer_class": 3}', "cannot be loaded: AttributeError"),
        (
            "tokenizer_config.json",
            '{"model_max_length": "x"}',
            "`model_max_length` in its tokenizer_config.json is 'x'",
        ),
        (
            "tokenizer_config.json",
            '{"model_max_length": true}',
            "`model_max_length` in its tokenizer_config.json is True",
        ),
        ("tokenizer_config.json", '{"pad_token": 3}', "Special token pad_token has to be"),
        ("special_tokens_map.json", "[", "is no JSON"),
    ],
)
def test_a_damaged_file_of_a_tokenizer_is_named(saved: Path, tmp_path: Path, file: str, text: str, told: str) -> None:
    """transformers raises any kind of error, or makes a tokenizer without words."""
    shutil.copytree(saved / "bert-classification", tmp_path, dirs_exist_ok=True)
    bert_like().save_pretrained(tmp_path)
    (tmp_path / file).write_text(text)
    for read in (load_tokenizer, read_tokenizer):
        with pytest.raises(ValueError) as caught:
            read(tmp_path)
        assert told in str(caught.value) and str(tmp_path) in str(caught.value)
        assert "put " in str(caught.value)
