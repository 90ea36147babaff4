"""AD-KD's own term on held-out texts: one number however the texts are batched, 0 for the teacher itself."""

import dataclasses

import pytest

from analysis import trained_maps
from analysis.trained_maps import main, table, trained_map_distances
from causalkd import attributions
from causalkd.models.load import student_from_teacher
from causalkd.recipe import Recipe
from causalkd.trained_run import TrainedRun
from tests.shrunk import FinishedRun

TAUGHT = ("students.kd.objectives.adkd={steps: 2}", "students.diito.objectives.adkd={steps: 2, weight: 3.0}")


@pytest.fixture(scope="module")
def run(quickstart: FinishedRun) -> TrainedRun:
    """The shrunk quickstart, as if its students had learned from maps."""
    found = TrainedRun.load(quickstart.folder.path)
    return dataclasses.replace(found, recipe=Recipe.load(quickstart.folder.recipe, TAUGHT))


def test_every_student_beside_an_untrained_one(run: TrainedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained_map_distances(run, 7)
    assert [each.student for each in found] == ["kd", "diito"]
    assert all(len(each.own) == len(each.untrained) == 1 and min(each.own + each.untrained) > 0 for each in found)
    assert found[0].untrained == found[1].untrained and found[0].own != found[1].own
    monkeypatch.setattr(attributions, "_ROWS", 3)
    again = trained_map_distances(run, 7)
    assert [each.own[0] for each in again] == pytest.approx([each.own[0] for each in found], rel=1e-5)


def test_the_teacher_is_no_distance_from_itself(run: TrainedRun) -> None:
    copy = student_from_teacher(run.teacher, every=1)
    alone = dataclasses.replace(run, students=(run.students[0]._replace(model=copy),))
    (found,) = trained_map_distances(alone, 5)
    assert found.own[0] == pytest.approx(0, abs=1e-6) and found.untrained[0] > 1e-3


def test_settings_that_do_not_compare(run: TrainedRun, quickstart: FinishedRun) -> None:
    without = dataclasses.replace(run, recipe=Recipe.load(quickstart.folder.recipe))
    with pytest.raises(ValueError, match=r"0 students of .* learned from maps, with 0 settings"):
        trained_map_distances(without, 5)
    other = Recipe.load(quickstart.folder.recipe, [*TAUGHT, "students.kd.objectives.adkd.steps=1"])
    with pytest.raises(ValueError, match=r"2 students of .* learned from maps, with 2 settings"):
        trained_map_distances(dataclasses.replace(run, recipe=other), 5)


def test_one_command_prints_a_row_a_student(
    run: TrainedRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(TrainedRun, "load", lambda folder: run)
    main("runs/some", 4)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["student", "distance", "of", "maps", "untrained", "student"] and len(lines) == 4
    two = trained_maps.Distances("kd", [0.1, 0.3], [0.5])
    assert table([two])[1] == ("kd", "0.2000 ± 0.1414", "0.5000")
