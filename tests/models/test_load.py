"""Loading, cutting students from teachers, the untrained baseline, and teachers and students that do not fit."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from causalkd.files.manifest import write_manifest
from causalkd.models.head_labels import label_names
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import complete_padding
from causalkd.models.load import load_model, model_from_config
from causalkd.models.students import student_from_teacher
from causalkd.task_types import Task
from tests.architectures.zoo import tiny_of
from tests.models.small import hooked, same_weights, word_tokenizer
from tests.tiny import PAD, tiny, tiny_inputs

INPUTS = tiny_inputs()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a three-class BERT whose labels have names."""
    folder = tmp_path_factory.mktemp("saved")
    model = hooked("bert", "classification")
    model.model.config.id2label = {0: "no", 1: "maybe", 2: "yes"}
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def headless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that has the blocks and no head."""
    folder = tmp_path_factory.mktemp("headless")
    tiny("bert", "classification").bert.save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return folder


def test_a_folder_becomes_a_teacher_or_a_student(saved: Path) -> None:
    state = torch.get_rng_state()
    teacher = load_model(saved, task="classification", role="teacher")
    student = load_model(str(saved), task="classification", role="student", attention="eager")
    assert torch.equal(torch.get_rng_state(), state)
    assert same_weights(teacher, student) and same_weights(teacher, hooked("bert", "classification"))
    assert not teacher.model.training and not any(p.requires_grad for p in teacher.model.parameters())
    assert all(parameter.requires_grad for parameter in student.model.parameters())
    assert student.model.config._attn_implementation == "eager"
    assert label_names(teacher) == ("no", "maybe", "yes")
    assert teacher.tokenizer is not None and teacher.tokenizer.get_vocab() == word_tokenizer().get_vocab()


def test_a_missing_head_is_named_or_started_from_the_seed(headless: Path) -> None:
    with pytest.raises(ValueError) as caught:
        load_model(headless, task="classification", role="student")
    assert str(caught.value) == (
        f"checkpoint {headless} has no weights of the right size for classifier.bias, classifier.weight, which the "
        "classification head needs. Fine-tune it on the task first: a head is begun at random with `causalkd "
        "finetune`, with `teacher.training` in a recipe, or with `new_head=True` in Python"
    )
    state = torch.get_rng_state()
    fresh = [
        load_model(headless, task="classification", role="student", labels=("a", "b"), new_head=True, seed=seed)
        for seed in (0, 0, 1)
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert same_weights(fresh[0], fresh[1]) and not same_weights(fresh[0], fresh[2])
    assert label_names(fresh[0]) == ("a", "b")


def test_labels_that_differ(saved: Path) -> None:
    with pytest.raises(
        ValueError, match=r"has the labels \['no', 'maybe', 'yes'\], but the labels \['yes', 'no'\] were asked for"
    ):
        load_model(saved, task="classification", role="teacher", labels=("yes", "no"))
    kept = load_model(saved, task="classification", role="teacher", labels=("no", "maybe", "yes"))
    assert label_names(kept) == ("no", "maybe", "yes")


@pytest.mark.parametrize(("task", "labels", "outputs"), [("classification", ("yes", "no"), 2), ("regression", None, 1)])
def test_a_head_of_another_size(saved: Path, task: Task, labels: tuple[str, ...] | None, outputs: int) -> None:
    """A new head where asked for; without, an error and never a stock traceback about shapes."""
    with pytest.raises(ValueError, match=r"with `new_head=True` in Python"):
        load_model(saved, task=task, role="student", labels=labels)
    model = load_model(saved, task=task, role="student", labels=labels, new_head=True)
    assert model.run(INPUTS).logits.shape == (4, outputs)
    blocks = {name: weight for name, weight in model.model.state_dict().items() if name.startswith("bert.")}
    original = hooked("bert", "classification").model.state_dict()
    assert all(torch.equal(weight, original[name]) for name, weight in blocks.items())


def test_a_checkpoint_whose_configuration_asks_for_attention_can_be_saved_again(saved: Path, tmp_path: Path) -> None:
    """transformers' error on writing it ended every command in a traceback."""
    shutil.copytree(saved, tmp_path / "given")
    file = tmp_path / "given" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "output_attentions": True}))
    student = load_model(tmp_path / "given", task="classification", role="student")
    student.save_pretrained(tmp_path / "again")
    assert same_weights(load_model(tmp_path / "again", task="classification", role="student"), student)


def test_an_architecture_without_the_head(tmp_path: Path) -> None:
    hooked("opt").save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match="is a opt, for which transformers has no token_classification head, only caus"
    ):
        load_model(tmp_path, task="token_classification", role="student")


def test_a_checkpoint_of_a_run_that_was_changed_since(saved: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(saved, tmp_path / "model")
    write_manifest(folder)
    load_model(folder, task="classification", role="teacher")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    with pytest.raises(ValueError, match=r"is not as the run wrote it: the contents of model.safetensors .* manifest"):
        load_model(folder, task="classification", role="teacher")
    (folder / "manifest.json").write_text('{"name": "an extension", "files": 2}')  # of another tool
    load_model(folder, task="classification", role="teacher")


def test_names_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no checkpoint '.*nowhere'.*Name a folder, a hub model, or one of minilm-l6"):
        load_model(tmp_path / "nowhere", task="masked_lm", role="teacher")


def test_missing_weights_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="weights of minilm-l6 are not installed; run `make weights` once"):
        load_model("minilm-l6", task="classification", role="teacher")


@pytest.mark.needs_weights
def test_the_pretrained_minilm() -> None:
    model = load_model("minilm-l6", task="classification", role="student", labels=("bad", "good"), new_head=True)
    assert (model.n_layers, model.width, model.n_heads, model.vocabulary) == (6, 384, 12, 30522)
    assert model.tokenizer is not None
    inputs = dict(model.tokenizer(["a fine film", "no"], padding=True, return_tensors="pt"))
    assert model.run(inputs).logits.shape == (2, 2)
    with pytest.raises(ValueError, match=r"minilm-l6 has no weights .*which the masked_lm head needs"):
        load_model("minilm-l6", task="masked_lm", role="teacher")


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "opt", "gpt_neox"])
@pytest.mark.parametrize("ends", [PAD, [3, PAD]])
def test_an_end_token_that_pads_too_is_learnt(architecture: str, ends: int | list[int], tmp_path: Path) -> None:
    """Such tokens have no gradient in the input embeddings of some architectures."""
    model = tiny(architecture, "causal_lm")
    model.config.eos_token_id = model.generation_config.eos_token_id = ends
    model.save_pretrained(tmp_path)
    teacher = load_model(tmp_path, task="causal_lm", role="teacher")
    for student in (student_from_teacher(teacher, every=2), load_model(tmp_path, task="causal_lm", role="student")):
        student.run({**INPUTS, "input_ids": torch.full_like(INPUTS["input_ids"], PAD)}).logits.sum().backward()
        gradient = student.model.get_input_embeddings().weight.grad
        assert gradient is not None and gradient[PAD].abs().sum() > 0
    if architecture == "llama":  # a token that only pads stays out of it
        assert student_from_teacher(hooked("llama"), every=2).model.get_input_embeddings().padding_idx == PAD


def test_a_students_checkpoint_needs_nothing_of_ours(saved: Path, tmp_path: Path) -> None:
    student = student_from_teacher(load_model(saved, task="classification", role="teacher"), layers=(1,))
    student.save_pretrained(tmp_path)
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert stock.config.id2label == {0: "no", 1: "maybe", 2: "yes"}
    assert torch.equal(stock(**INPUTS).logits, student.run(INPUTS).logits)
    again = load_model(tmp_path, task="classification", role="student")
    assert same_weights(again, student) and again.tokenizer is not None


@pytest.mark.parametrize("architecture", ["gemma2", "gptj"])
def test_a_student_is_in_float32_at_least(architecture: str, tmp_path: Path) -> None:
    """AdamW's steps are lost in half precision, and in float16 it divides by zero.

    A scale or a table of positions that the model computes for itself is not saved; it was still rounded to half.
    """
    tiny_of(architecture, "causal_lm").bfloat16().save_pretrained(tmp_path / "teacher")
    teacher = load_model(tmp_path / "teacher", task="causal_lm", role="teacher")
    assert teacher.model.dtype == torch.bfloat16
    width = teacher.width // teacher.n_heads
    students = [
        load_model(tmp_path / "teacher", task="causal_lm", role="student"),
        student_from_teacher(teacher, layers=[0]),
        student_from_teacher(teacher, layers=[0], width=width),
        model_from_config(teacher.model.config, None, task="causal_lm", role="student"),
    ]
    for number, student in enumerate(students):
        assert student.model.dtype == torch.float32
        student.model.eval()
        student.save_pretrained(tmp_path / str(number))
        again = load_model(tmp_path / str(number), task="causal_lm", role="teacher")
        assert torch.equal(again.run(INPUTS).logits, student.run(INPUTS).logits)
    double = HookedModel(tiny("opt", "causal_lm", dtype=torch.float64), task="causal_lm", role="teacher")
    assert student_from_teacher(double, layers=[0]).model.dtype == torch.float64


def test_a_model_that_runs_in_float32_alone_says_so(tmp_path: Path) -> None:
    tiny_of("deberta", "masked_lm").half().save_pretrained(tmp_path)
    assert load_model(tmp_path, task="masked_lm", role="student").model.dtype == torch.float32
    with pytest.raises(
        ValueError, match=r"does not run on 3 tokens .*load it with dtype=torch\.float32, in which more"
    ):
        load_model(tmp_path, task="masked_lm", role="teacher")


def test_a_checkpoint_without_weights(tmp_path: Path) -> None:
    tiny("bert", "classification").config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has a configuration but no weights that load"):
        load_model(tmp_path, task="classification", role="teacher")


@pytest.mark.parametrize("named", [None, -1])
def test_a_checkpoint_without_a_padding_token_has_its_tokenizers(named: int | None, tmp_path: Path) -> None:
    model = tiny("llama", "classification")
    model.config.pad_token_id = named
    model.save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    assert load_model(tmp_path, task="classification", role="teacher").model.config.pad_token_id == PAD


@pytest.mark.parametrize("task", ["causal_lm", "classification"])
def test_a_tokenizer_that_pads_with_a_token_the_model_lacks(task: Task, tmp_path: Path) -> None:
    """A language model loaded, and its first padded batch failed; a classifier was told to set what was set."""
    model, tokenizer = tiny("gpt2", task), word_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "[new]"})
    model.config.pad_token_id = None
    for each in (model, tokenizer):
        each.save_pretrained(tmp_path)
    told = r"has embeddings of 97 tokens, .*: '\[new\]' \(pad, 97\); .*resize_token_embeddings\(98\)"
    with pytest.raises(ValueError, match=told):
        load_model(tmp_path, task=task, role="teacher")
    with pytest.raises(ValueError, match=r"of 97 tokens, not of the padding token 97; .*resize_token_embeddings\(98\)"):
        complete_padding(model, 97)
    assert model.config.pad_token_id is None


def test_a_head_of_its_own_is_kept_where_the_configuration_says_that_it_is_tied(tmp_path: Path) -> None:
    """transformers keeps it, but a student of the configuration would share the embeddings."""
    model = tiny("llama", "causal_lm")
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert not config["tie_word_embeddings"]
    (tmp_path / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    teacher = load_model(tmp_path, task="causal_lm", role="teacher")
    assert not teacher.model.config.tie_word_embeddings
    student = student_from_teacher(teacher, every=1)
    assert torch.equal(student.run(INPUTS).logits, teacher.run(INPUTS).logits)
    assert torch.equal(teacher.run(INPUTS).logits, model(**INPUTS).logits)
