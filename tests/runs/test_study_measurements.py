"""What a study measures of its cells beside their own reports, and when it measures again."""

import json
from pathlib import Path

import pytest

from causalkd.files.manifest import MANIFEST
from causalkd.recipe.study_parts import EvaluationPart
from causalkd.runs.study import run_study
from causalkd.runs.study_cells import StudyFolder
from causalkd.runs.study_measurements import _data
from causalkd.verification.results.report import VerificationReport
from tests.small_study import VARIANTS, begun, small_study

ONE = {"kd": VARIANTS["kd"]}


def _at(component: str) -> dict[str, object]:
    place = {"layer": 0, "component": component}
    pairs = [{"name": "mlp", "teacher": [place], "student": [place]}]
    return {"name": "elsewhere", "positions": {"policy": "all"}, "pairs": pairs}


def test_other_tasks_are_measured_beside(tmp_path: Path) -> None:
    study = small_study(tmp_path, seeds=[0], evaluate=[{"task": "planted", "limit": 6}])
    table = run_study(study)
    (cell, _) = study.cells()
    stored = json.loads(
        (cell.recipe.folder / "evaluations" / "student-seed0-planted-validation-limit6.json").read_text()
    )
    assert table.rows[0].values["accuracy on planted/validation"] == (stored["metrics"]["accuracy"],)
    assert "teacher's accuracy on planted/validation" in table.rows[0].values
    (difference,) = (each for each in table.differences if each.measure == "accuracy on planted/validation")
    assert difference.p_over_rows is None or 0 <= difference.p_over_rows <= 1


def test_students_are_measured_at_alignments_that_they_were_not_trained_on(tmp_path: Path) -> None:
    study = small_study(tmp_path, seeds=[0], measure_at={"mlp": _at("mlp_output")})
    table = run_study(study)
    (cell, _) = study.cells()
    file = cell.recipe.folder / "evaluations" / "at-mlp.json"
    report = VerificationReport.read(file)
    assert {(row.pair, row.component) for row in report.interchange} == {("mlp", "mlp_output")}
    (row,) = (row for row in report.interchange if row.baseline == "measured")
    assert table.rows[0].values["effective IIA at mlp"] == (row.iia_effective,)
    written = file.read_bytes()
    file.unlink()  # as after a kill between the run's own report and this measurement
    assert not StudyFolder(study.folder).is_settled(cell, study)
    run_study(study)
    assert file.read_bytes() == written and begun(study)[cell.name] == 2


def test_what_is_asked_otherwise_is_measured_again(tmp_path: Path) -> None:
    """The run itself stays; a figure that was measured on other rows, or at other sites, does not."""
    asked = {"seeds": [0], "variants": ONE}
    for limit, component in ((6, "mlp_output"), (4, "block_output")):
        evaluate = [{"task": "planted", "limit": limit}]
        study = small_study(tmp_path, **asked, evaluate=evaluate, measure_at={"there": _at(component)})
        run_study(study)
        (cell,) = study.cells()
        folder = cell.recipe.folder / "evaluations"
        stored = json.loads((folder / f"student-seed0-planted-validation-limit{limit}.json").read_text())
        assert stored["examples"] == limit
        rows = VerificationReport.read(folder / "at-there.json").interchange
        assert {row.component for row in rows} == {component}
    assert begun(study)[cell.name] == 2 and StudyFolder(study.folder).is_settled(cell, study)
    manifest = cell.recipe.folder / "student" / MANIFEST
    manifest.write_text(f"{manifest.read_text()}\n")  # as of a student that was trained anew
    assert not StudyFolder(study.folder).is_settled(cell, study)
    (folder / "study.json").write_text("{")
    with pytest.raises(ValueError, match=r"study.json is damaged: .*; delete it, and call the study again"):
        run_study(study)


def test_a_task_may_be_a_file_and_its_text_counts(tmp_path: Path) -> None:
    """A study that looked for its figures under the file's name never ended."""
    file, evaluate = tmp_path / "few.yaml", [{"task": str(tmp_path / "few.yaml")}]
    for limit in (6, 4):
        file.write_text(f"data: {{task: planted, eval_limit: {limit}}}")
        study = small_study(tmp_path, seeds=[0], variants=ONE, evaluate=evaluate)
        table = run_study(study)
        (cell,) = study.cells()
        file_of = cell.recipe.folder / "evaluations" / "student-seed0-planted-validation.json"
        stored = json.loads(file_of.read_text())
        assert stored["examples"] == limit
        assert table.rows[0].values[f"accuracy on {file}/validation"] == (stored["metrics"]["accuracy"],)


def test_two_tasks_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = [{"task": "planted", "limit": 6}, {"task": "planted", "limit": 4}]
    study = small_study(tmp_path, seeds=[0], evaluate=twice)
    with pytest.raises(ValueError, match="evaluate: planted/validation is measured twice, and its figures would share"):
        run_study(study)


def test_what_is_asked_of_a_file_changes_with_the_rows_that_it_names(tmp_path: Path) -> None:
    rows, block = tmp_path / "rows.csv", tmp_path / "block.yaml"
    rows.write_text("text,label\na,b\n")
    block.write_text(f"data: {{path: {rows}, kind: classification}}")
    part = EvaluationPart(task=str(block))
    before = _data(part)
    assert _data(part) == before
    rows.write_text("text,label\na,c\n")
    assert _data(part) != before


def test_what_is_asked_of_a_task_changes_with_its_file_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    part, rows = EvaluationPart(task="sst2"), tmp_path / "SST-2" / "dev.tsv"
    assert _data(part) is None
    rows.parent.mkdir()
    rows.write_text("sentence\tlabel\ngood\t1\n")
    before = _data(part)
    assert before is not None and _data(part) == before
    rows.write_text("sentence\tlabel\nother\t0\n")
    assert _data(part) not in (before, None)
