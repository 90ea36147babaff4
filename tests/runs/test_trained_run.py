"""A trained run, read from its folder: what it holds."""

import shutil
from pathlib import Path

import pytest
import torch

from causalkd.runs.trained_run import TrainedRun
from tests.shrunk import FinishedRun


def test_it_holds_what_the_run_was_made_of(quickstart: FinishedRun) -> None:
    run = TrainedRun.load(quickstart.folder.path)
    assert run.recipe == quickstart.recipe and run.alignment == quickstart.recipe.alignment
    assert [(student.part.name, student.seed) for student in run.students] == [("kd", 0), ("diito", 0)]
    assert run.teacher.role == "teacher" and not any(p.requires_grad for p in run.teacher.model.parameters())
    assert (run.teacher.n_layers, *(student.model.n_layers for student in run.students)) == (4, 2, 2)
    assert len(run.data.heldout.examples) == 24


def test_students_are_their_own_checkpoints(quickstart: FinishedRun) -> None:
    kd, diito = (student.model.model.state_dict() for student in TrainedRun.load(quickstart.folder.path).students)
    assert not all(torch.equal(weight, diito[name]) for name, weight in kd.items())


def test_a_run_whose_model_was_deleted_can_be_continued_as_is_said(quickstart: FinishedRun, tmp_path: Path) -> None:
    """A report without its student would else be a dead end: unfinished for one command, finished for another."""
    run = Path(shutil.copytree(quickstart.folder.path, tmp_path / "run"))
    lost = quickstart.folder.student(quickstart.recipe, "diito", quickstart.recipe.seeds[0])
    shutil.rmtree(run / lost.relative_to(quickstart.folder.path))
    with pytest.raises(ValueError, match=r"is missing; delete .*report\.json, which says .* same `causalkd distill`"):
        TrainedRun.load(run)
    (run / "report.json").unlink()
    with pytest.raises(ValueError, match=r"is missing; continue it with the same `causalkd distill` call"):
        TrainedRun.load(run)
