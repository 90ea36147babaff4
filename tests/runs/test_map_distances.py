"""AD-KD's own term on held-out texts: one number however the texts are batched, 0 for the teacher itself."""

import copy
import dataclasses
import shutil
from pathlib import Path

import pytest

from causalkd.models.load import model_from_config
from causalkd.models.students import student_from_teacher
from causalkd.recipe.recipe import Recipe
from causalkd.runs import attribute as attributions
from causalkd.runs.attribute import attribute, heldout_batches
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.map_distances import map_distances
from causalkd.runs.trained_run import TrainedRun
from causalkd.verification.results.report import VerificationReport
from tests.shrunk import FinishedRun

TAUGHT = ("students.kd.objectives.adkd={steps: 2}", "students.diito.objectives.adkd={steps: 2, weight: 3.0}")


@pytest.fixture(scope="module")
def run(quickstart: FinishedRun) -> TrainedRun:
    """The shrunk quickstart, as if its students had learned from maps."""
    found = TrainedRun.load(quickstart.folder.path)
    return dataclasses.replace(found, recipe=Recipe.load(quickstart.folder.recipe, TAUGHT))


def test_every_student_beside_an_untrained_one(run: TrainedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    found = map_distances(run, heldout_batches(run, 7))
    kd, kd_untrained, diito, diito_untrained = (row.distance for row in found)
    baselines = ("measured", "untrained_student")
    assert [(row.student, row.seed, row.baseline) for row in found] == [
        (s, 0, c) for s in ("kd", "diito") for c in baselines
    ]
    assert {(row.taught, row.texts) for row in found} == {("kd, diito", 7)}
    assert min(kd, kd_untrained, diito) > 0 and kd_untrained == diito_untrained and kd != diito
    monkeypatch.setattr(attributions, "_ROWS", 3)
    again = [row.distance for row in map_distances(run, heldout_batches(run, 7))]
    assert again == pytest.approx([kd, kd_untrained, diito, diito_untrained], rel=1e-5)


def test_an_untrained_student_has_its_student_s_own_configuration(run: TrainedRun) -> None:
    """Of equal depth and width, but not alike otherwise."""
    config = copy.deepcopy(run.students[0].model.model.config)
    config.intermediate_size = 24
    narrow = model_from_config(config, run.data.tokenizer, task="classification", role="student")
    both = dataclasses.replace(run, students=(run.students[0], run.students[0]._replace(model=narrow)))
    _, untrained, _, other = map_distances(both, heldout_batches(run, 5))
    assert untrained.distance != other.distance
    alone = dataclasses.replace(run, students=(run.students[0]._replace(model=narrow),))
    assert map_distances(alone, heldout_batches(run, 5))[1].distance == other.distance


def test_the_teacher_is_no_distance_from_itself(run: TrainedRun) -> None:
    copy = student_from_teacher(run.teacher, every=1)
    alone = dataclasses.replace(run, students=(run.students[0]._replace(model=copy),))
    own, untrained = map_distances(alone, heldout_batches(run, 5))
    assert own.distance == pytest.approx(0, abs=1e-6) and untrained.distance > 1e-3


def test_every_term_of_a_recipe_is_measured_and_a_recipe_without_one_has_none(
    run: TrainedRun, quickstart: FinishedRun
) -> None:
    batches = heldout_batches(run, 3)
    other = Recipe.load(quickstart.folder.recipe, [*TAUGHT, "students.kd.objectives.adkd.steps=1"])
    found = map_distances(dataclasses.replace(run, recipe=other), batches)
    assert [(row.taught, row.student) for row in found if row.baseline == "measured"] == [
        ("kd", "kd"), ("kd", "diito"), ("diito", "kd"), ("diito", "diito"),
    ]  # fmt: skip
    assert len({row.distance for row in found}) == 6  # four students' and, by term, that of one untrained
    assert map_distances(dataclasses.replace(run, recipe=Recipe.load(quickstart.folder.recipe)), batches) == ()


def test_the_report_of_a_run_that_learned_from_maps_holds_them(
    run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(shutil.copytree(run.folder.path, tmp_path / "run"))
    monkeypatch.setattr(TrainedRun, "load", lambda path: dataclasses.replace(run, folder=folder))
    found = attribute(folder.path, limit=2, steps=1, portions=1).attribution
    assert found is not None and found.map_distances == map_distances(run, heldout_batches(run, 128))
    assert len(found.map_distances) == 4 and VerificationReport.read(folder.report).attribution == found
