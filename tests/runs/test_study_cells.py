"""A cell of a study: what is measured of it, and how its failure is reported."""

from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.runs.study import run_study
from causalkd.runs.study_cells import StudyFolder, cell_result
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
