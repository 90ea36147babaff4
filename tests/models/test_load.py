"""Loading, cutting students from teachers, the untrained control, and which teacher and student do not fit."""

import copy
import importlib.util
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

from causalkd.models.head_labels import label_names
from causalkd.models.hooks.hooked_model import HookedModel, Role
from causalkd.models.load import check_pair, load_model, student_from_teacher, untrained_copy
from causalkd.task_types import Task
from tests.tiny import ARCHITECTURES, PAD, TASKS_OF, VOCABULARY, tiny, tiny_inputs

INPUTS = tiny_inputs()


def _tokenizer(first: str = "w") -> PreTrainedTokenizerFast:
    words = ["[UNK]", "[PAD]", *(f"{first}{number}" for number in range(VOCABULARY - 2))]
    model = WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]")
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), unk_token="[UNK]", pad_token="[PAD]")


def _hooked(
    architecture: str = "bert", task: Task | None = None, role: Role = "teacher", layers: int = 3
) -> HookedModel:
    task = task or TASKS_OF[architecture][0]
    return HookedModel(tiny(architecture, task, layers=layers), _tokenizer(), task=task, role=role)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a three-class BERT whose labels have names."""
    folder = tmp_path_factory.mktemp("saved")
    model = _hooked("bert", "classification")
    model.model.config.id2label = {0: "no", 1: "maybe", 2: "yes"}
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def headless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that has the blocks and no head."""
    folder = tmp_path_factory.mktemp("headless")
    tiny("bert", "classification").bert.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    return folder


def _same_weights(one: HookedModel, other: HookedModel) -> bool:
    weights = other.model.state_dict()
    return all(torch.equal(weight, weights[name]) for name, weight in one.model.state_dict().items())


def test_a_folder_becomes_a_teacher_or_a_student(saved: Path) -> None:
    state = torch.get_rng_state()
    teacher = load_model(saved, task="classification", role="teacher")
    student = load_model(str(saved), task="classification", role="student", attention="eager")
    assert torch.equal(torch.get_rng_state(), state)
    assert _same_weights(teacher, student) and _same_weights(teacher, _hooked("bert", "classification"))
    assert not teacher.model.training and not any(p.requires_grad for p in teacher.model.parameters())
    assert all(parameter.requires_grad for parameter in student.model.parameters())
    assert student.model.config._attn_implementation == "eager"
    assert label_names(teacher) == ("no", "maybe", "yes")
    assert teacher.tokenizer is not None and teacher.tokenizer.get_vocab() == _tokenizer().get_vocab()


def test_a_missing_head_is_named_or_started_from_the_seed(headless: Path) -> None:
    with pytest.raises(ValueError) as caught:
        load_model(headless, task="classification", role="student")
    assert str(caught.value) == (
        f"checkpoint {headless} has no weights of the right size for classifier.bias, classifier.weight, which the "
        "classification head needs. Fine-tune it on the task first, or pass new_head=True to start them at random."
    )
    state = torch.get_rng_state()
    fresh = [
        load_model(headless, task="classification", role="student", labels=("a", "b"), new_head=True, seed=seed)
        for seed in (0, 0, 1)
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert _same_weights(fresh[0], fresh[1]) and not _same_weights(fresh[0], fresh[2])
    assert label_names(fresh[0]) == ("a", "b")


def test_labels_that_differ(saved: Path) -> None:
    with pytest.raises(ValueError, match=r"has the labels \['no', 'maybe', 'yes'\], asked for were \['yes', 'no'\]"):
        load_model(saved, task="classification", role="teacher", labels=("yes", "no"))
    kept = load_model(saved, task="classification", role="teacher", labels=("no", "maybe", "yes"))
    assert label_names(kept) == ("no", "maybe", "yes")


@pytest.mark.parametrize(("task", "labels", "outputs"), [("classification", ("yes", "no"), 2), ("regression", None, 1)])
def test_a_head_of_another_size(saved: Path, task: Task, labels: tuple[str, ...] | None, outputs: int) -> None:
    """A new head where asked for; without, an error and never a stock traceback about shapes."""
    with pytest.raises(ValueError, match=r"pass new_head=True"):
        load_model(saved, task=task, role="student", labels=labels)
    model = load_model(saved, task=task, role="student", labels=labels, new_head=True)
    assert model.run(INPUTS).logits.shape == (4, outputs)
    blocks = {name: weight for name, weight in model.model.state_dict().items() if name.startswith("bert.")}
    original = _hooked("bert", "classification").model.state_dict()
    assert all(torch.equal(weight, original[name]) for name, weight in blocks.items())


def test_an_architecture_without_the_head(tmp_path: Path) -> None:
    _hooked("opt").save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match="is a opt, for which transformers has no token_classification head, only caus"
    ):
        load_model(tmp_path, task="token_classification", role="student")


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


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("task", ["lm", "classification"])
def test_a_student_of_some_layers(architecture: str, task: str) -> None:
    teacher = _hooked(architecture, TASKS_OF[architecture][0] if task == "lm" else "classification")
    weights = {name: weight.clone() for name, weight in teacher.model.state_dict().items()}
    student = student_from_teacher(teacher, layers=(2, 0))
    assert (student.n_layers, student.width, student.role) == (2, 32, "student")
    assert all(parameter.requires_grad for parameter in student.model.parameters())
    prefix = teacher.adapter.translate_transformer_lens_path("blocks")
    for name, weight in student.model.state_dict().items():
        origin = name.replace(f"{prefix}.0.", f"{prefix}.two.").replace(f"{prefix}.1.", f"{prefix}.0.")
        assert torch.equal(weight, weights[origin.replace(f"{prefix}.two.", f"{prefix}.2.")]), name
    assert all(torch.equal(weights[name], weight) for name, weight in teacher.model.state_dict().items())
    assert student.run(INPUTS).logits.shape == teacher.run(INPUTS).logits.shape


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_student_of_all_layers_is_the_teacher(architecture: str) -> None:
    teacher = _hooked(architecture)
    student = student_from_teacher(teacher, every=1)
    assert torch.equal(student.run(INPUTS).logits, teacher.run(INPUTS).logits)


def test_every_second_layer() -> None:
    model = tiny("qwen2", "causal_lm", layers=5)
    config = copy.deepcopy(model.config)
    config.use_sliding_window, config.sliding_window = True, 4
    config.layer_types = ["full_attention", "sliding_attention"] * 2 + ["full_attention"]
    model = type(model)(config).eval()
    teacher = HookedModel(model, _tokenizer(), task="causal_lm", role="teacher")
    student = student_from_teacher(teacher, every=2)
    assert student.n_layers == 3
    assert student.model.config.layer_types == ["full_attention"] * 3
    weights = teacher.model.state_dict()
    for layer in range(3):
        name = "layers.{}.mlp.down_proj.weight"
        mine = student.model.model.state_dict()[name.format(layer)]
        assert torch.equal(mine, weights["model." + name.format(2 * layer)])


@pytest.mark.parametrize("width", [8, 16, 24])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_narrower_student(architecture: str, width: int) -> None:
    teacher = _hooked(architecture)
    state = torch.get_rng_state()
    student = student_from_teacher(teacher, every=2, width=width, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert (student.n_layers, student.width, student.n_heads) == (2, width, width // 8)
    assert {hook_point.width for hook_point in student.hook_points()} == {width}
    assert student.run(INPUTS).logits.shape == teacher.run(INPUTS).logits.shape
    assert _same_weights(student, student_from_teacher(teacher, every=2, width=width, seed=3))
    assert not _same_weights(student, student_from_teacher(teacher, every=2, width=width, seed=4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either layers or every, not both or neither; got layers=None, every=None"),
        ({"layers": (0,), "every": 1}, "not both or neither"),
        ({"every": 4}, "every=4 leaves no block; the teacher has 3 blocks"),
        ({"layers": (0, 3)}, r"layers=\[0, 3\]: the teacher has blocks 0–2"),
        ({"layers": ()}, "name at least one of them"),
        ({"every": 1, "width": 20}, "width=20 does not divide into heads of 8; give a multiple of 8"),
    ],
)
def test_a_student_that_cannot_be_cut(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        student_from_teacher(_hooked(), **options)  # type: ignore[arg-type]


def test_the_untrained_control() -> None:
    trained = _hooked("bert", "classification", "student")
    state = torch.get_rng_state()
    controls = [untrained_copy(trained, seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    assert not _same_weights(controls[0], trained) and not _same_weights(controls[0], controls[2])
    assert _same_weights(controls[0], controls[1])
    assert controls[0].model.config.to_dict() == trained.model.config.to_dict() and not controls[0].model.training


def test_every_difference_of_a_pair_is_named() -> None:
    teacher = _hooked("bert", "classification")
    check_pair(teacher, _hooked("roberta", "classification", "student"))
    with pytest.raises(ValueError) as caught:
        check_pair(teacher, _hooked("bert", "regression", "student"))
    assert "the teacher's task is classification, the student's regression" in str(caught.value)
    other = tiny("bert", "classification", labels=2)
    other.resize_token_embeddings(50)
    with pytest.raises(ValueError) as caught:
        check_pair(teacher, HookedModel(other, _tokenizer(), task="classification", role="student"))
    assert "vocabulary has 97 entries, the student's 50, and the tokenizer of both 97" in str(caught.value)
    assert "give it more, by resize_token_embeddings(97)" in str(caught.value)
    assert "labels are ['LABEL_0', 'LABEL_1', 'LABEL_2'], the student's ['LABEL_0', 'LABEL_1']" in str(caught.value)
    unknown = HookedModel(other, task="classification", role="student")
    with pytest.raises(ValueError, match="entries, the student's 50: one token id means different words"):
        check_pair(teacher, unknown)
    stranger = HookedModel(tiny("bert", "classification"), _tokenizer("v"), task="classification", role="student")
    with pytest.raises(ValueError, match="the tokenizers give different ids to the same tokens"):
        check_pair(teacher, stranger)


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
        assert student_from_teacher(_hooked("llama"), every=2).model.get_input_embeddings().padding_idx == PAD


def test_a_students_checkpoint_needs_nothing_of_ours(saved: Path, tmp_path: Path) -> None:
    student = student_from_teacher(load_model(saved, task="classification", role="teacher"), layers=(1,))
    student.save_pretrained(tmp_path)
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert stock.config.id2label == {0: "no", 1: "maybe", 2: "yes"}
    assert torch.equal(stock(**INPUTS).logits, student.run(INPUTS).logits)
    again = load_model(tmp_path, task="classification", role="student")
    assert _same_weights(again, student) and again.tokenizer is not None


def test_a_student_is_in_float32_at_least(tmp_path: Path) -> None:
    """AdamW's steps are lost in half precision, and in float16 it divides by zero."""
    tiny("opt", "causal_lm", dtype=torch.float16).save_pretrained(tmp_path)
    teacher = load_model(tmp_path, task="causal_lm", role="teacher")
    student = load_model(tmp_path, task="causal_lm", role="student")
    assert (teacher.model.dtype, student.model.dtype) == (torch.float16, torch.float32)
    assert student_from_teacher(teacher, layers=[0]).model.dtype == torch.float32
    double = HookedModel(tiny("opt", "causal_lm", dtype=torch.float64), task="causal_lm", role="teacher")
    assert student_from_teacher(double, layers=[0]).model.dtype == torch.float64


def test_a_checkpoint_without_weights(tmp_path: Path) -> None:
    tiny("bert", "classification").config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has a configuration but no weights that load"):
        load_model(tmp_path, task="classification", role="teacher")
