"""A recipe's sequences: who writes, what is kept, what is refused before training."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import DataPart, SequencesPart
from causalkd.runs.setup.data import build_data
from causalkd.runs.setup.preflight import preflight
from causalkd.runs.setup.sequences import data_with_written_responses, on_policy, prompt_style, reply_ends
from causalkd.training.on_policy import OnPolicy
from tests.data.tasks.test_instructions import CHATML
from tests.data.tiny_tokenizers import gpt2_like
from tests.shrunk import planted_model, shrunk
from tests.training.test_on_policy import ROWS, batch, model


def test_who_writes_while_training() -> None:
    teacher, student = model("teacher"), model()
    assert on_policy(None, student, teacher, 40, 0) is None
    assert on_policy(SequencesPart(generator="teacher"), student, teacher, 40, 0) is None
    assert isinstance(on_policy(SequencesPart(generator="student"), student, None, 40, 0), OnPolicy)
    assert isinstance(on_policy(SequencesPart(generator="mixed"), student, teacher, 40, 0), OnPolicy)
    with pytest.raises(ValueError, match="is 'mixed', and there is no teacher; use 'student'"):
        on_policy(SequencesPart(generator="mixed"), student, None, 40, 0)
    for origin in ("student", "teacher"):
        with pytest.raises(ValueError, match="is for causal LMs, and the task is classification"):
            on_policy(SequencesPart(generator=origin), planted_model(), None, 40, 0)


def test_conversations_end_a_turn_as_the_template_does() -> None:
    """Their prompts and ends are the template's, although `prompt` says nothing of it."""
    tokenizer = gpt2_like()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHATML
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    for part, style, ends in (
        (DataPart(task=None, path="mine.jsonl", kind="chat"), "chat", (end,)),
        (DataPart(task=None, path="mine.jsonl", kind="instructions", prompt="chat"), "chat", (end,)),
        (DataPart(task=None, path="mine.jsonl", kind="instructions"), "alpaca", ()),
    ):
        assert (prompt_style(part), reply_ends(part, tokenizer)) == (style, ends)


def test_what_the_teacher_writes_is_kept_and_taken_again(tmp_path: Path) -> None:
    recipe = shrunk("quickstart-lm", tmp_path, "data.train_limit=6")
    data = build_data(recipe.data, recipe.teacher)
    part = SequencesPart(generator="teacher", max_tokens=4)
    teacher = model("teacher")
    written = data_with_written_responses(part, data, model(), teacher, 40, tmp_path / "kept")
    assert written.heldout is data.heldout and len(written.train.examples) == 6
    assert all(len(row["input_ids"]) <= 5 and row["input_ids"][0] == 2 for row in written.train.examples)
    (file,) = (tmp_path / "kept").iterdir()
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows[:3]))
    assert len(data_with_written_responses(part, data, model(), teacher, 40, tmp_path / "kept").train.examples) == 3, (
        "read, not written again"
    )
    assert data_with_written_responses(None, data, model(), teacher, 40, tmp_path) is data


@pytest.mark.parametrize(("few", "longest"), [("student", 40), ("teacher", 40), ("student", 7)])
def test_rows_fit_every_model_and_the_datas_length(few: str, longest: int, tmp_path: Path) -> None:
    """One of the models has 9 positions, the other 40, and the data's rows have `longest` at most."""
    teacher, student = model("teacher"), model()
    config = GPT2Config.from_dict(student.model.config.to_dict() | {"n_positions": 9})
    short = HookedModel(GPT2LMHeadModel(config).eval(), student.tokenizer, task="causal_lm", role="student")
    teacher, student = (teacher, short) if few == "student" else (short, student)
    room = min(longest, 9)
    for origin in ("student", "mixed"):
        source = on_policy(SequencesPart(generator=origin), student, teacher, longest, 0)
        assert source is not None
        assert [source(batch(), step).counted.sum(1).max() for step in range(4)] == 4 * [room]
    recipe = shrunk("quickstart-lm", tmp_path, "data.train_limit=2")
    data = build_data(recipe.data, recipe.teacher)
    data = replace(data, train=replace(data.train, examples=ROWS * 4))
    found = data_with_written_responses(
        SequencesPart(generator="teacher"), data, student, teacher, longest, tmp_path / "kept"
    )
    assert max(len(row["input_ids"]) for row in found.train.examples) == room
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_text('{"input_ids": [1')
    with pytest.raises(ValueError, match=r"\.jsonl is damaged: .*; delete it, and the teacher writes again"):
        data_with_written_responses(
            SequencesPart(generator="teacher"), data, student, teacher, longest, tmp_path / "kept"
        )


CHANGES = {
    "exchanged": (
        ("students.diito.training={sequences: {generator: student}}",),
        "training.sequences.* and the objective",
    ),
    "packed": (
        ("data.packing=true", "students.kd.training={sequences: {generator: mixed}}"),
        "data.packing and training.sequences.* cannot be combined",
    ),
    "packed for the teacher": (
        ("data.packing=true", "students.kd.training={sequences: {generator: teacher}}"),
        "data.packing and training.sequences of generator 'teacher' cannot be combined",
    ),
    "both": (("data.packing=true",), "data.packing and the objective diito cannot be combined"),
}


@pytest.mark.parametrize(("changes", "message"), CHANGES.values(), ids=CHANGES)
def test_packing_writing_and_interventions_exclude_each_other(
    changes: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        preflight(shrunk("quickstart-lm", tmp_path / "run", *changes))


def test_a_rehearsal_writes_however_rarely_training_will(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("it cannot write")

    monkeypatch.setattr("causalkd.training.on_policy.continue_prompts", fail)
    with pytest.raises(ValueError, match="student 'kd': it cannot write"):
        preflight(
            shrunk("quickstart-lm", tmp_path, "students.kd.training={sequences: {generator: student, share: 0.001}}")
        )


def test_a_recipe_names_its_sequences() -> None:
    changes = ["students.kd.training={steps: 3, sequences: {generator: student, share: 0.5}}"]
    recipe = Recipe.load("quickstart-lm", changes)
    assert recipe.training_of(recipe.students[0]).sequences == SequencesPart(generator="student", share=0.5)
    with pytest.raises(
        ValueError, match=r"`teacher_share` is 0\.5, and with the generator 'student' one model writes every"
    ):
        Recipe.load("quickstart-lm", ["training.sequences={generator: student, teacher_share: 0.5}"])
    with pytest.raises(ValueError, match=r"training\.sequences\.generator: 'students' is not valid"):
        Recipe.load("quickstart-lm", ["training.sequences={generator: students}"])
