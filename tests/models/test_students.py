"""Students cut from a teacher compute what was kept of it; untrained ones share its configuration alone."""

import copy
from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig

from causalkd.models import students
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import model_from_config
from causalkd.models.students import student_from_teacher, untrained_copy
from causalkd.task_types import Task
from tests.architectures.zoo import tiny_config, tiny_of
from tests.models.small import hooked, same_weights, word_tokenizer
from tests.tiny import ARCHITECTURES, TASKS_OF, tiny, tiny_inputs

INPUTS = tiny_inputs()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("task", ["lm", "classification"])
def test_a_student_of_some_layers(architecture: str, task: str) -> None:
    teacher = hooked(architecture, TASKS_OF[architecture][0] if task == "lm" else "classification")
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
    teacher = hooked(architecture)
    student = student_from_teacher(teacher, every=1)
    assert torch.equal(student.run(INPUTS).logits, teacher.run(INPUTS).logits)


@pytest.mark.parametrize(("groups", "chosen"), [(3, [0, 2]), (3, [2]), (2, [0, 2]), (1, [1, 2])])
def test_layers_that_share_blocks_are_cut_whatever_their_number(groups: int, chosen: list[int]) -> None:
    """A student of fewer layers than the teacher has blocks ended in a traceback."""
    config = tiny_of("albert", "classification").config
    config.num_hidden_groups = groups
    model = type(tiny_of("albert", "classification"))(config).eval()
    teacher = HookedModel(model, task="classification", role="teacher")
    student = student_from_teacher(teacher, layers=chosen)
    assert len(student.blocks) == min(groups, len(chosen)) and student.n_layers == len(chosen)
    entry = teacher.hook_point("block_input", 0)
    hidden = teacher.read(INPUTS, [entry]).activations[entry]
    for layer in chosen:
        output = teacher.hook_point("block_output", layer)
        with teacher.resumed(layer, hidden):
            hidden = teacher.read(INPUTS, [output]).activations[output]
    with teacher.resumed(3, hidden):
        expected = teacher.run(INPUTS).logits
    student.model.eval()
    torch.testing.assert_close(student.run(INPUTS).logits, expected)


def test_what_a_student_writes_ends_at_the_teachers_end_tokens(tmp_path: Path) -> None:
    teacher = hooked("llama")
    teacher.model.generation_config = GenerationConfig(eos_token_id=[3, 4], repetition_penalty=9.0)
    student_from_teacher(teacher, layers=[0], width=16).save_pretrained(tmp_path)
    saved = GenerationConfig.from_pretrained(tmp_path)
    assert saved.eos_token_id == [3, 4] and saved.repetition_penalty != 9.0


def test_every_second_layer() -> None:
    model = tiny("qwen2", "causal_lm", layers=5)
    config = copy.deepcopy(model.config)
    config.use_sliding_window, config.sliding_window = True, 4
    config.layer_types = ["full_attention", "sliding_attention"] * 2 + ["full_attention"]
    model = type(model)(config).eval()
    teacher = HookedModel(model, word_tokenizer(), task="causal_lm", role="teacher")
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
    teacher = hooked(architecture)
    state = torch.get_rng_state()
    student = student_from_teacher(teacher, every=2, width=width, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert (student.n_layers, student.width, student.n_heads) == (2, width, width // 8)
    assert {hook_point.width for hook_point in student.hook_points()} == {width}
    assert student.run(INPUTS).logits.shape == teacher.run(INPUTS).logits.shape
    assert same_weights(student, student_from_teacher(teacher, every=2, width=width, seed=3))
    assert not same_weights(student, student_from_teacher(teacher, every=2, width=width, seed=4))


@pytest.mark.parametrize(
    ("model_type", "task", "settings"),
    [
        ("gemma3", "causal_lm", {}),
        ("qwen3_vl", "causal_lm", {}),
        ("deberta-v2", "classification", {"pooler_hidden_size": 32}),
        ("bart", "causal_lm", {"decoder_attention_heads": 4, "encoder_attention_heads": 2, "decoder_ffn_dim": 16}),
    ],
)
def test_a_narrower_student_of_a_configuration_with_further_widths(
    model_type: str, task: Task, settings: dict[str, int]
) -> None:
    """Of text within a model that reads images, of a pooler, and of a decoder beside an encoder that it has not."""
    config = tiny_config(model_type, task)
    for name, value in settings.items():
        setattr(config, name, value)
    teacher = model_from_config(config, None, task=task, role="teacher")
    assert teacher.n_heads == 4
    student = student_from_teacher(teacher, layers=[0], width=16)
    assert (student.width, student.n_heads) == (16, 2)
    assert {hook_point.width for hook_point in student.hook_points() if hook_point.component == "block_output"} == {16}
    assert student.run(INPUTS).logits.shape == teacher.run(INPUTS).logits.shape
    outer, text = student.model.config, student.model.config.get_text_config()
    assert text.hidden_size == 16 and (outer is text or "hidden_size" not in vars(outer))
    if model_type == "qwen3_vl":
        assert outer.vision_config.out_hidden_size == 16
    if model_type == "bart":
        assert (
            text.decoder_attention_heads == 2
            and student.layers[0].get_submodule("fc1").get_parameter("weight").shape[0] == 8
        )


def test_a_student_that_keeps_its_width_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(students, "set_width", lambda *_: None)
    with pytest.raises(ValueError, match="a bert keeps its width of 32 where width=16 is asked for; leave `width` out"):
        student_from_teacher(hooked(), layers=[0], width=16)


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "llama"])
def test_a_narrower_student_starts_from_no_part_of_a_wider_weight(architecture: str) -> None:
    """Of half the blocks and half the width, columns of the embeddings were taken for what belongs to a block."""
    teacher = hooked(architecture, layers=4)
    student = student_from_teacher(teacher, layers=[0, 1], width=16)
    fresh, whole = untrained_copy(student, seed=0).model.state_dict(), teacher.model.state_dict()
    narrow = {name: weight for name, weight in student.model.state_dict().items() if weight.shape != whole[name].shape}
    assert {name for name, weight in narrow.items() if not torch.equal(weight, fresh[name])} == set()
    assert len(narrow) > 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either layers or every, not both or neither; got layers=None, every=None"),
        ({"layers": (0,), "every": 1}, "not both or neither"),
        ({"every": 4}, "every=4 leaves no block; the teacher has 3 blocks"),
        ({"layers": (0, 3)}, r"layers=\[0, 3\]: the teacher has blocks 0–2; name only these"),
        ({"layers": ()}, "name only these, at least one"),
        (
            {"every": 1, "width": 20},
            "width=20 is no whole number of heads, .* one for every 8 of its width of 32; give a multiple of 8",
        ),
    ],
)
def test_a_student_that_cannot_be_cut(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        student_from_teacher(hooked(), **options)  # type: ignore[arg-type]


def test_the_untrained_control() -> None:
    trained = hooked("bert", "classification", "student")
    state = torch.get_rng_state()
    controls = [untrained_copy(trained, seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    assert not same_weights(controls[0], trained) and not same_weights(controls[0], controls[2])
    assert same_weights(controls[0], controls[1])
    assert controls[0].model.config.to_dict() == trained.model.config.to_dict() and not controls[0].model.training
