"""What a checkpoint says about itself before its weights are read."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from causalkd.models.checkpoints import find_tokenizer, has_head, load_tokenizer, locate, read_config, tasks_of
from causalkd.models.load import load_model
from causalkd.task_types import Task
from tests.architectures.zoo import tiny_of
from tests.data.tiny_tokenizers import bert_like
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


@pytest.mark.parametrize("architecture", TASKS_OF)
def test_every_head_of_every_architecture_is_known(architecture: str, tmp_path: Path) -> None:
    tiny(architecture, TASKS_OF[architecture][0], layers=1).config.save_pretrained(tmp_path)
    assert set(TASKS_OF[architecture]) <= set(tasks_of(tmp_path))
    assert len(MODELS) == sum(map(len, TASKS_OF.values()))


def test_names_that_do_not_exist(saved: Path) -> None:
    for name in (saved / "empty", saved / "nowhere", "no-such/model"):
        with pytest.raises(ValueError, match=r"no checkpoint .*Name a folder, a hub model, or one of minilm-l6"):
            read_config(name)


def test_a_configuration_that_is_there_and_will_not_do(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"the configuration of checkpoint .* cannot be read: .*not a valid JSON"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ValueError, match="is a vit, which is no language model; name another checkpoint"):
        tasks_of(tmp_path)


@pytest.mark.parametrize("name", ["bert-classification", "gpt2-causal_lm"])
def test_a_checkpoint_without_a_tokenizer(saved: Path, name: str) -> None:
    """transformers makes an empty one, to which every word is unknown."""
    assert find_tokenizer(saved / name) is None
    with pytest.raises(ValueError, match="has no tokenizer that transformers can load; save the one it was trained"):
        load_tokenizer(saved / name)
    assert load_model(saved / name, task=tasks_of(saved / name)[0], role="teacher").tokenizer is None


def test_the_tokenizer_of_a_checkpoint(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved / "bert-classification", tmp_path, dirs_exist_ok=True)
    bert_like().save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path).get_vocab() == bert_like().get_vocab()


def test_packaged_weights_are_found_or_named(monkeypatch: pytest.MonkeyPatch) -> None:
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
