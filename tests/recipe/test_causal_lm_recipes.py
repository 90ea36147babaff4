"""The recipes of the six methods: on the planted stories, and on tiny models of the hub's architectures."""

from pathlib import Path

import pytest

from causalkd.recipe.recipe import Recipe
from causalkd.runs.distill import distill
from causalkd.runs.setup.preflight import preflight
from tests import stand_ins
from tests.shrunk import OF_HUB_MODELS, shrunk

pytestmark = pytest.mark.trains


@pytest.fixture(autouse=True)
def instructions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUSALKD_DATA", str(stand_ins.data(tmp_path)))


SIX = ["sft", "forward-kl", "reverse-kl", "gkd", "atkd", "atkd-diito"]
ELEVEN = [
    *("sft", "seqkd", "forward-kl", "reverse-kl", "f-distill", "imitkd", "gkd", "dkd"),
    *("atkd", "reverse-atkd", "atkd-gkd"),
]


def test_six_methods_on_the_planted_stories_take_equal_steps() -> None:
    """As long as one another, with the data and the teacher of the quickstart; five seeds."""
    shipped, quickstart = Recipe.load("planted-lm-methods"), Recipe.load("quickstart-lm")
    assert [part.name for part in shipped.students] == SIX and len(shipped.seeds) == 5
    assert {shipped.training_of(part).steps for part in shipped.students} == {shipped.training.steps}
    assert (shipped.data, shipped.teacher, shipped.alignment) == (
        quickstart.data, quickstart.teacher, quickstart.alignment
    )  # fmt: skip
    preflight(shrunk("planted-lm-methods", Path("nothing-is-written")))


@pytest.mark.parametrize("name", [name for name in stand_ins.ARCHITECTURES if name.startswith("atkd")])
def test_every_student_of_the_papers_setting_takes_a_step(name: str, tmp_path: Path) -> None:
    """They differ in their models only, so a rehearsal: the teacher's step and each student's, with what it writes."""
    recipe = Recipe.load(name, [*stand_ins.changes(name, tmp_path), f"output={tmp_path / 'run'}"])
    assert [part.name for part in recipe.students] == ELEVEN
    prepared, _ = preflight(recipe)
    data = prepared.data
    assert len(data.train.examples) == 8 and "Alpaca" in data.train.origin


@pytest.mark.parametrize("name", [name for name in OF_HUB_MODELS if name.startswith("atkd") and "b" in name])
def test_a_larger_teacher_is_all_that_a_larger_recipe_changes(name: str) -> None:
    larger, base = Recipe.load(name), Recipe.load(name.rpartition("-")[0])
    assert (larger.students, larger.training, larger.data) == (base.students, base.training, base.data)
    assert larger.teacher.model != base.teacher.model and larger.teacher.dtype == "bfloat16"
    rows = [part.training.batch_size * part.training.gradient_accumulation for part in (larger.teacher, base.teacher)]
    assert rows == [64, 64]


def test_smollm2_runs_and_is_verified(tmp_path: Path) -> None:
    changes = stand_ins.changes("smollm2", tmp_path)
    report = distill(Recipe.load("smollm2", [*changes, f"output={tmp_path / 'run'}"]))
    assert [student.name for student in report.students] == SIX
    assert report.teacher.metric == "perplexity"
    assert all(student.task_metric is not None and student.task_metric > 1 for student in report.students)
