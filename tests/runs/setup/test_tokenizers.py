"""Where a recipe's tokenizer comes from, and what stands for padding where there is none."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.recipe.objectives import ObjectivesPart, TaskPart
from causalkd.recipe.sections import DataPart, StudentPart, TeacherPart, TrainingPart
from causalkd.runs.setup.tokenizers import completed, students_tokenizer, tokenizer_of, with_padding
from tests.data.tiny_tokenizers import bert_like, gpt2_like, llama_like
from tests.shrunk import planted_model

FRESH = TeacherPart(config={"model_type": "bert"}, training=TrainingPart(steps=1))


def test_it_is_the_teachers_or_the_named_one_or_the_planted_tasks(tmp_path: Path) -> None:
    planted_model().save_pretrained(tmp_path / "teacher")
    bert_like().save_pretrained(tmp_path / "words")
    planted = tokenizer_of(DataPart(), FRESH).get_vocab()
    assert tokenizer_of(DataPart(), TeacherPart(model=str(tmp_path / "teacher"))).get_vocab() == planted
    named = DataPart(task="sst2", tokenizer=str(tmp_path / "words"))
    assert tokenizer_of(named, FRESH).get_vocab() == bert_like().get_vocab()
    with pytest.raises(ValueError, match=r"needs `data\.tokenizer`"):
        tokenizer_of(DataPart(task="sst2"), FRESH)
    with pytest.raises(ValueError, match="is neither a folder nor on the hub"):
        tokenizer_of(DataPart(task="sst2", tokenizer=str(tmp_path / "nowhere")), FRESH)


def test_the_end_token_stands_for_padding_where_there_is_none() -> None:
    tokenizer = gpt2_like()
    tokenizer.pad_token = None
    assert with_padding(tokenizer).pad_token == tokenizer.eos_token
    model = planted_model()
    model.tokenizer, model.model.config.pad_token_id = None, None
    assert completed(model, tokenizer).tokenizer is tokenizer
    assert model.model.config.pad_token_id == tokenizer.eos_token_id


def _student(name: str, model: Path | None) -> StudentPart:
    origin = {"every": 2} if model is None else {"model": str(model)}
    return StudentPart(name=name, objectives=ObjectivesPart(task=TaskPart()), **origin)  # type: ignore[arg-type]


def test_the_students_tokenizer_is_known_where_it_is_not_the_teachers(tmp_path: Path) -> None:
    for name, tokenizer in (("same", bert_like()), ("other", gpt2_like()), ("third", llama_like())):
        planted_model().model.config.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    same, other, third = (_student(name, tmp_path / name) for name in ("same", "other", "third"))
    assert students_tokenizer([same, _student("cut", None)], bert_like()) is None
    assert students_tokenizer([], bert_like()) is None
    found = students_tokenizer([other, _student("again", tmp_path / "other")], bert_like())
    assert found is not None and found.get_vocab() == gpt2_like().get_vocab()
    assert found.pad_token == found.eos_token
    for mixed in ([same, other], [_student("cut", None), other], [third, other]):
        with pytest.raises(ValueError, match="make a run for each tokenizer"):
            students_tokenizer(mixed, bert_like())
    with pytest.raises(ValueError, match="student 'gone': no checkpoint"):
        students_tokenizer([_student("gone", tmp_path / "gone")], bert_like())


def test_a_student_of_another_tokenizer_cannot_learn_a_task_with_a_vocabulary_of_its_own(tmp_path: Path) -> None:
    planted_model().save_pretrained(tmp_path / "other")
    bert_like().save_pretrained(tmp_path / "other")
    student = f"students=[{{name: kd, model: {tmp_path / 'other'}, objectives: {{response_kd: {{}}}}}}]"
    settings = ["quickstart", "--set", f"output={tmp_path / 'run'}", "--set", student, "--set", "data.train_limit=20"]
    done = CliRunner().invoke(app, ["distill", *settings])
    assert done.exit_code == 2 and not (tmp_path / "run").exists()
    assert "the students have another tokenizer than the teacher: task 'planted' has a vocabulary of" in done.output
