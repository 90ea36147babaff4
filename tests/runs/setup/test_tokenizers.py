"""Where a recipe's tokenizer comes from, and what stands for padding where there is none."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.recipe.sections import DataPart, TeacherPart, TrainingPart
from causalkd.runs.setup.tokenizers import completed, tokenizer_of, with_padding
from tests.data.tiny_tokenizers import bert_like, gpt2_like
from tests.shrunk import SHRUNK, TINY, planted_model

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


def test_a_student_of_another_tokenizer_is_refused_with_what_a_recipe_can_do(tmp_path: Path) -> None:
    planted_model().save_pretrained(tmp_path / "other")
    bert_like().save_pretrained(tmp_path / "other")
    student = ("students.kd.layers=null", f"students.kd.model={tmp_path / 'other'}")
    settings = [*SHRUNK["quickstart"], *TINY, f"output={tmp_path / 'run'}", *student]
    done = CliRunner().invoke(app, ["distill", "quickstart", *(p for change in settings for p in ("--set", change))])
    assert done.exit_code == 2 and not (tmp_path / "run").exists()
    for part in (
        "student 'kd': teacher and student do not fit",
        "the tokenizers give different ids to the same tokens; use the teacher's tokenizer for both",
        "Rows are tokenised once, for both models. An intervention needs positions that both models share",
        "only `causalkd.objectives.uld.ULD`, in Python, takes language models of different tokenizers",
    ):
        assert part in done.output, done.output
