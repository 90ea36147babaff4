"""A cell of a study: what is measured of it, and how its failure is reported."""

import errno
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors import SafetensorError
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.runs.folder.lock import is_occupied, locked
from causalkd.runs.study import run_study
from causalkd.runs.study_cells import StudyFolder, attempted, cell_result, opened, record_failure
from tests.small_study import VARIANTS, begun, small_study


def test_a_failing_cell_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    beyond = {
        **VARIANTS["kd"],
        "data.max_length": 17,
    }  # more than there are: only the cell's run finds out
    study = small_study(tmp_path, variants={**VARIANTS, "beyond": beyond}, seeds=[0])
    table = run_study(study)
    failed = [cell for cell in study.cells() if cell.variant == "beyond"]
    assert list(table.failures) == [failed[0].name] and "max_length 17 is more" in table.failures[failed[0].name]
    rows = {row.method: row for row in table.rows}
    assert rows["beyond"].failed == (0,) and rows["beyond"].seeds == () and rows["kd"].seeds == (0,)
    markdown = (study.folder / "table.md").read_text()
    assert "0 (1 without a result)" in markdown and "max_length 17 is more" in markdown
    once, told = begun(study), []
    run_study(study, tell=told.append)
    assert begun(study) == once, "a failed cell is not run again unless that is asked for"
    assert told == ["1 of 3 cells failed in an earlier call and are left; --retry-failed runs them again"]
    run_study(study, retry_failed=True, tell=told.append)
    assert told[1] == f"{failed[0].name} begins"
    assert begun(study) == once + Counter({failed[0].name: 1})
    called = CliRunner().invoke(app, ["study", str(tmp_path / "study.yaml")])
    assert called.exit_code == 1 and "max_length 17 is more" in called.stdout
    assert CliRunner().invoke(app, ["study", str(tmp_path / "study.yaml"), "--table"]).exit_code == 0
    folder = StudyFolder(study.folder)
    folder.failure(failed[0]).write_text("{")
    with pytest.raises(ValueError, match=r"is damaged: .*; delete it, and the study runs the cell again"):
        cell_result(study, folder, failed[0])


def test_a_cell_in_whose_folder_a_process_works_is_left_for_later(tmp_path: Path) -> None:
    study, told = small_study(tmp_path, seeds=[0], variants={"kd": VARIANTS["kd"]}), []
    folder, (cell,) = opened(study), study.cells()
    cell.recipe.folder.mkdir(parents=True)
    with locked(cell.recipe.folder):
        assert is_occupied(cell.recipe.folder) and not attempted(study, folder, cell, told.append)
        with pytest.MonkeyPatch.context() as patch:  # as where it comes between the look and the run
            patch.setattr("causalkd.runs.study_cells.is_occupied", lambda path: False)
            assert not attempted(study, folder, cell, told.append)
    assert told == [f"{cell.name} begins"] and not folder.failure(cell).exists()
    assert not is_occupied(cell.recipe.folder) and attempted(study, folder, cell, told.append)
    assert told[-1] == f"{cell.name} is finished"


def _raised(error: Exception, cause: Exception | None) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "free"),
    [
        (_raised(ValueError("a run cannot be written"), OSError(errno.ENOSPC, "No space left on device")), 2**30),
        (_raised(RuntimeError("a thread has failed"), RuntimeError("unexpected pos 64 vs 0")), 2**30),
        (SafetensorError("I/O error: Disk quota exceeded (os error 122)"), 2**30),
        (shutil.Error([("a", "b", "[Errno 28] No space left on device")]), 2**30),
        (KeyError("a library that says nothing of the disk"), 2**10),
    ],
)
def test_a_full_disk_is_no_result_of_a_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, free: int
) -> None:
    study = small_study(tmp_path, seeds=[0])
    folder, cell = StudyFolder(tmp_path), study.cells()[0]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(type(error)):
        record_failure(folder, cell, error, print)
    assert not folder.failures.exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    record_failure(folder, cell, ValueError("[Errno 28] is a word of the data"), print)
    assert folder.failure(cell).is_file()
