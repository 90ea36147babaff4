"""DIITO's recipes and their pipeline have the paper's settings, and run with a tiny BERT of twelve layers."""

from pathlib import Path

import pytest

from causalkd.alignment.presets import preset
from causalkd.recipe.pipeline import PipelineRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.runs.distill import distill
from causalkd.runs.pipeline import _preflight
from causalkd.training.callbacks import read_rows
from tests import stand_ins
from tests.shrunk import SHRUNK, shrunk

NAMES = tuple(name for name in SHRUNK if name.startswith("diito-bert"))
GLUE = ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb")
PAPER = {
    "diito-bert-6l-middle": [((6,), (3,))],
    "diito-bert-6l-late": [((9,), (3,)), ((10,), (4,))],
    "diito-bert-6l-full": [((2 * i, 2 * i + 1), (i,)) for i in range(6)],
    "diito-bert-3l-middle": [((6,), (1,))],
    "diito-bert-3l-late": [((9,), (0,)), ((10,), (1,))],
    "diito-bert-3l-full": [(tuple(range(4 * i, 4 * i + 4)), (i,)) for i in range(3)],
}
"""The teacher's and the student's blocks of each alignment, as the paper has them."""


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAUSALKD_DATA", str(stand_ins.data(tmp_path)))
    return stand_ins.masked_lm(tmp_path / "teacher", 12)


@pytest.mark.parametrize("name", NAMES)
def test_weights_optimizer_and_alignment_are_the_papers(name: str) -> None:
    recipe = Recipe.load(name)
    student = recipe.students[-1]
    assert student.name == "diito" and student.layers is not None and isinstance(recipe.alignment, str)
    weights = {term: part.weight for term, part in student.objectives.chosen().items()}
    assert weights == dict.fromkeys(("task", "response_kd", "hidden_kd", "diito"), 0.25)
    assert student.objectives.response_kd is not None and student.objectives.response_kd.temperature == 2.0
    training = recipe.training
    assert training.batch_size * training.gradient_accumulation == 240 and training.epochs == 3
    assert (training.learning_rate, training.warmup, training.max_grad_norm) == (5e-4, 0.05, 5.0)
    assert (training.adam_beta1, training.adam_beta2, training.adam_epsilon) == (0.9, 0.98, 1e-6)
    assert training.freeze == ("*position_embeddings*",)
    found = preset(recipe.alignment, 12, len(student.layers))
    pairs = [tuple(tuple(s.layer for s in side) for side in (pair.teacher, pair.student)) for pair in found.pairs]
    assert pairs == PAPER[name] and found.positions is not None and found.positions.fraction == 0.3


@pytest.mark.trains
def test_a_student_of_six_layers_learns_with_every_term(teacher: Path, tmp_path: Path) -> None:
    report = distill(
        shrunk("diito-bert-6l-middle", tmp_path / "run", f"teacher.model={teacher}", "training.logging_steps=1")
    )
    assert [student.name for student in report.students] == ["kd", "diito"] and report.teacher.metric == "perplexity"
    (row,) = (row for row in read_rows(tmp_path / "run" / "metrics.jsonl") if row["student"] == "diito")
    assert {key for key in row if key.startswith("term/")} == {
        f"term/{name}" for name in ("task", "response_kd", "hidden_kd", "diito")
    }


@pytest.mark.trains
def test_the_pipeline_of_the_paper_is_whole(teacher: Path, tmp_path: Path) -> None:
    """All six runs and, with a student of theirs, all ten tasks are tried on two rows."""
    changes = [f"output={tmp_path / 'run'}", *(f"distill.{name}.teacher.model={teacher}" for name in NAMES)]
    changes += [f"distill.{name}.{change}" for name in NAMES for change in SHRUNK[name]]
    recipe = PipelineRecipe.load("diito-bert", changes)
    assert sorted(run.name for run in recipe.distill) == sorted(NAMES)
    assert tuple(recipe.finetune.tasks) == (*GLUE, "conll2003", "squad")
    assert len(list(recipe.subjects())) == 8
    assert PipelineRecipe.load(recipe.to_yaml()) == recipe
    told: list[str] = []
    _preflight(recipe, [], told.append)
    assert len(told) == 6 + 10
