"""AD-KD's recipes of the eight tasks of GLUE, with tiny models in the place of BERT-base and of the student."""

from pathlib import Path

import pytest

from causalkd.recipe.recipe import Recipe
from causalkd.runs.distill import distill
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.setup.preflight import preflight
from causalkd.runs.setup.train import best_step
from causalkd.training.callbacks import read_rows
from tests import stand_ins

# α, T, whether T falls, β, K, learning rate, batch and epochs, of the scripts that the authors have released.
RELEASED = {
    "cola": (0.9, 1.0, False, 1.0, 768, 4e-5, 32, 10),
    "mnli": (0.8, 3.0, True, 10.0, 768, 4e-5, 64, 6),
    "mrpc": (0.9, 4.0, True, 10.0, 768, 3e-5, 16, 10),
    "qnli": (0.9, 3.0, False, 100.0, 768, 4e-5, 32, 6),
    "qqp": (1.0, 4.0, True, 50.0, 734, 4e-5, 32, 8),
    "rte": (0.9, 2.0, False, 10.0, 700, 2e-5, 16, 12),
    "sst2": (0.8, 2.0, False, 1.0, 768, 5e-5, 32, 6),
    "stsb": (0.8, 3.0, False, 1.0, 640, 5e-5, 16, 8),
}


@pytest.fixture(autouse=True)
def official_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUSALKD_DATA", str(stand_ins.data(tmp_path)))


def _recipe(task: str, folder: Path) -> Recipe:
    return Recipe.load(f"adkd-{task}", [*stand_ins.changes(f"adkd-{task}", folder), f"output={folder / 'run'}"])


@pytest.mark.parametrize("task", RELEASED)
def test_settings_are_those_of_the_release(task: str) -> None:
    recipe = Recipe.load(f"adkd-{task}")
    kd, adkd = recipe.students
    alpha, temperature, falling, beta, dimensions, *training = RELEASED[task]
    for part in (kd.objectives, adkd.objectives):
        assert part.task is not None and part.response_kd is not None
        assert (part.task.weight, part.response_kd.weight) == pytest.approx((1 - alpha, alpha))
        assert (part.response_kd.temperature, part.response_kd.anneal_temperature) == (temperature, falling)
        assert not part.response_kd.scale_by_t2
    maps = adkd.objectives.adkd
    assert kd.objectives.adkd is None and maps is not None
    assert (maps.weight, maps.top_k, maps.steps, maps.target) == (beta, dimensions, 1, "loss")
    assert maps.views == ("all" if task == "mnli" else "label")
    found = recipe.training
    assert [found.learning_rate, found.batch_size, found.epochs] == training
    assert found.save_steps == "epoch" and found.metric_for_best_model and recipe.data.task == task


@pytest.mark.trains
@pytest.mark.parametrize("task", [task for task in RELEASED if task not in ("qqp", "stsb")])
def test_every_student_takes_a_step(task: str, tmp_path: Path) -> None:
    """A rehearsal: the teacher's step and each student's."""
    prepared, _ = preflight(_recipe(task, tmp_path))
    assert len(prepared.data.train.examples) == 24 and len(prepared.data.heldout.examples) == 12


@pytest.mark.trains
@pytest.mark.parametrize("task", ["qqp", "stsb"])
def test_the_best_checkpoint_of_two_epochs_is_kept(task: str, tmp_path: Path) -> None:
    """A loss of weight 0 is logged; a regression has one map."""
    recipe = _recipe(task, tmp_path)
    report = distill(recipe)
    assert [student.name for student in report.students] == ["kd", "adkd"]
    folder = RunFolder(tmp_path / "run")
    assert {best_step(folder, f"{name}-seed0") for name in ("kd", "adkd")} <= {6, 12}
    rows = [row for row in read_rows(folder.metrics) if row["student"] == "adkd"]
    assert len(rows) == 12 and all(row["term/task"] > 0 and row["term/adkd"] > 0 for row in rows)
    weights = {name: part.weight for name, part in recipe.students[1].objectives.chosen().items()}
    for row in rows:
        assert row["loss"] == pytest.approx(sum(weights[name] * row[f"term/{name}"] for name in weights), rel=1e-4)
