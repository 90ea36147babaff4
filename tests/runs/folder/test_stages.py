"""An unfinished run continues with another recipe where nothing that was trained depends on the difference."""

import shutil
from pathlib import Path

import pytest

from causalkd.recipe.recipe import Recipe
from causalkd.runs import distill as runs
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.stages import differences, stages
from tests.shrunk import RESUMED, shrunk


@pytest.fixture(scope="module")
def unverified(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Everything is trained; the verification failed."""
    folder = RunFolder(tmp_path_factory.mktemp("unverified") / "run")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(runs, "verified", _fails)
        runs.distill(shrunk("quickstart", folder.path, *RESUMED))
    assert not folder.report.exists() and (folder.path / "student" / "config.json").is_file()
    return folder


def _fails(*_: object) -> None:
    raise MemoryError


def _no_training(*_: object, **__: object) -> None:
    raise AssertionError("nothing is to be trained again")


def test_verification_may_change_and_the_folder_may_move(unverified: RunFolder, tmp_path: Path) -> None:
    moved = shutil.copytree(unverified.path, tmp_path / "moved")
    recipe = shrunk("quickstart", moved, *RESUMED, "verification.pairs=4", "verification.batch_size=2", "name=other")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "finish_training", _no_training)
        report = runs.distill(recipe)
    assert {row.pairs for row in report.interchange} == {4}
    written = Recipe.load(RunFolder(moved).recipe)
    assert (written.verification.pairs, written.output) == (4, str(moved))


def test_a_verification_that_cannot_be_says_how_to_go_on(unverified: RunFolder, tmp_path: Path) -> None:
    moved = shutil.copytree(unverified.path, tmp_path / "moved")
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(ValueError, match=r"(?s)no such pairs.*you may change `verification`"),
    ):
        patch.setattr(runs, "verified", lambda *_: (_ for _ in ()).throw(ValueError("no such pairs")))
        runs.distill(shrunk("quickstart", moved, *RESUMED))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("students.only.training.steps=9", r"only-seed0 was trained with other .*training.steps was 8, is 9"),
        ("teacher.seed=1", r"teacher was trained with other settings \(teacher.seed was 0, is 1\); only-seed0 was"),
        ("students.only.objectives.diito.weight=3", r"student.objectives.diito.weight was 2.0, is 3.0"),
    ],
)
def test_what_a_training_depends_on_may_not(unverified: RunFolder, tmp_path: Path, change: str, told: str) -> None:
    path = shutil.copytree(unverified.path, tmp_path / "run")
    with pytest.raises(ValueError, match=rf"holds an unfinished run of another recipe.*{told}.*--overwrite"):
        runs.distill(shrunk("quickstart", path, *RESUMED, change))


def test_what_has_not_begun_may_change(tmp_path: Path) -> None:
    before = shrunk("quickstart", tmp_path, *RESUMED)
    other = shrunk("quickstart", tmp_path, *RESUMED, "students.only.training.steps=9", "teacher.seed=1")
    assert differences(RunFolder(tmp_path), before, other) == []
    assert stages(before).keys() == {"teacher", "only-seed0"}
    tracked = shrunk("quickstart", tmp_path, *RESUMED, "training.report_to=[tensorboard]", "data.eval_limit=9")
    assert stages(tracked) == stages(before)
