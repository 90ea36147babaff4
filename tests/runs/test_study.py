"""A study: what is done is skipped, kills and second workers change nothing in its table, failures are reported."""

import json
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from causalkd.recipe.study import Study
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.study import StudyFolder, read_study, run_study
from causalkd.verification.results.report import VerificationReport
from tests.shrunk import TINY

_FORK = multiprocessing.get_context("fork")
_SMALL = {
    **{key: yaml.safe_load(value) for key, _, value in (change.partition("=") for change in TINY)},
    **{"teacher.config.num_hidden_layers": 2, "teacher.training.steps": 5, "teacher.training.batch_size": 8},
    **{"data.train_limit": 40, "data.eval_limit": 8, "verification.pairs": 8, "verification.batch_size": 4},
    **{"verification.components": [], "alignment": "middle", "training.batch_size": 8, "training.save_steps": 2},
    **{"teacher.training.save_steps": 2, "training.logging_steps": 1},
}
_KD = {"name": "student", "layers": [0, 1], "training": {"steps": 6}, "objectives": {"task": {}, "response_kd": {}}}
_DIITO = {**_KD, "objectives": {"task": {}, "response_kd": {}, "diito": {}}}
VARIANTS = {"kd": {**_SMALL, "students": [_KD]}, "diito": {**_SMALL, "students": [_DIITO]}}
TABLES = ("table.json", "table.csv", "table.md")


def small_study(folder: Path, **changes: object) -> Study:
    """Four cells of a second each: two variants, two seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = {"name": "small", "recipe": "quickstart", "variants": VARIANTS, "seeds": [0, 1]}
    file = folder / "study.yaml"
    file.write_text(json.dumps({**keys, "output": str(folder / "out"), **changes}))
    return Study.load(file)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The small study, run without interruption."""
    study = small_study(tmp_path_factory.mktemp("study"))
    run_study(study)
    return study


def _tables(study: Study) -> list[str]:
    return [(study.folder / name).read_text() for name in TABLES]


def _begun(study: Study) -> Counter[str]:
    """How often each cell was begun."""
    return Counter(json.loads(line)["cell"] for line in StudyFolder(study.folder).log.read_text().splitlines())


def test_a_study_is_a_run_folder_a_cell_and_a_table(whole: Study) -> None:
    reports = [VerificationReport.read(RunFolder(cell.recipe.folder).report) for cell in whole.cells()]
    table = json.loads((whole.folder / "table.json").read_text())
    assert [row["method"] for row in table["rows"]] == ["kd", "diito"]
    accuracies = [report.students[0].task_metric for report in reports]
    assert [row["values"]["accuracy"] for row in table["rows"]] == [accuracies[:2], accuracies[2:]]
    assert table["rows"][0]["seeds"] == [0, 1] and table["rows"][0]["costs"]["steps"] == [6, 6]
    (difference,) = (each for each in table["differences"] if each["measure"] == "agreement")
    agreements = [report.students[0].agreement for report in reports]
    expected = [one - other for one, other in zip(agreements[2:], agreements[:2], strict=True)]  # type: ignore[operator]
    assert difference["method"] == "diito" and difference["reference"] == "kd"
    assert difference["over_seeds"]["mean"] == pytest.approx(sum(expected) / 2)


def test_cells_share_one_teacher(whole: Study) -> None:
    stores = [path for path in StudyFolder(whole.folder).teachers.iterdir() if path.is_dir()]
    assert len(stores) == 1
    weights = (stores[0] / "teacher" / "model.safetensors").read_bytes()
    for cell in whole.cells():
        assert (cell.recipe.folder / "teacher" / "model.safetensors").read_bytes() == weights


def test_a_second_call_runs_nothing_and_writes_the_same(whole: Study) -> None:
    before, begun = _tables(whole), _begun(whole)
    run_study(whole)
    assert _tables(whole) == before and _begun(whole) == begun
    assert set(begun.values()) == {1}


def _kill_while_it_runs(study: Study, seconds: float) -> bool:
    """Runs the study in a process that is killed after so long; whether it was still at work."""
    worker = _FORK.Process(target=run_study, args=(study,))
    worker.start()
    assert worker.pid is not None
    worker.join(seconds)
    running = worker.is_alive()
    if running:
        os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    return running


def test_a_study_that_is_killed_ten_times_gives_the_same_table(whole: Study, tmp_path: Path) -> None:
    study, drawn = small_study(tmp_path), random.Random(0)
    killed, most = 0, 1.5
    while killed < 10:
        if not _kill_while_it_runs(study, drawn.uniform(0.05, most)):
            study, most = small_study(tmp_path / str(killed)), most / 2  # this machine is quick: strike earlier
            continue
        killed += 1
    run_study(study)
    assert _tables(study) == _tables(whole)


def test_two_workers_share_a_folder_and_run_no_cell_twice(whole: Study, tmp_path: Path) -> None:
    study = small_study(tmp_path)
    workers = [_FORK.Process(target=run_study, args=(study,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert _begun(study) == {cell.name: 1 for cell in study.cells()}
    assert _tables(study) == _tables(whole)


def test_a_worker_waits_for_the_cells_of_another(whole: Study, tmp_path: Path) -> None:
    study = small_study(tmp_path)
    held = StudyFolder(study.folder).lock(study.cells()[0].name)
    with held:
        worker = _FORK.Process(target=run_study, args=(study,))
        worker.start()
        others = {cell.name for cell in study.cells()[1:]}
        deadline = time.monotonic() + 120
        while not all((study.folder / "cells" / name / "report.json").is_file() for name in others):
            assert time.monotonic() < deadline and worker.is_alive()
            time.sleep(0.2)
        assert set(_begun(study)) == others
    worker.join()
    assert _tables(study) == _tables(whole)


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
    begun = _begun(study)
    run_study(study)
    assert _begun(study) == begun, "a failed cell is not run again unless that is asked for"
    run_study(study, retry_failed=True)
    assert _begun(study) == begun + Counter({failed[0].name: 1})


def test_what_is_not_finished_is_said_in_the_table(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    study.folder.mkdir()
    assert set(read_study(study).failures.values()) == {"it is not finished"}


def test_equal_compute_gives_the_cheaper_method_more_steps(tmp_path: Path) -> None:
    study = small_study(tmp_path, seeds=[0], budget={"block_forwards": 700})
    rows = {row.method: row for row in run_study(study).rows}
    steps = {name: row.costs["steps"][0] for name, row in rows.items()}
    spent = {name: row.costs["block_forwards"][0] for name, row in rows.items()}
    assert steps["kd"] == 700 // (2 * 4 * 8)  # two blocks, 3 + 1 forwards each, of eight rows
    assert steps["diito"] < steps["kd"]  # type: ignore[operator]
    assert all(550 < each <= 760 for each in spent.values() if each is not None)


def test_other_tasks_are_measured_beside(tmp_path: Path) -> None:
    study = small_study(tmp_path, seeds=[0], evaluate=[{"task": "planted", "limit": 6}])
    table = run_study(study)
    (cell, _) = study.cells()
    stored = json.loads((cell.recipe.folder / "evaluations" / "student-seed0-planted-validation.json").read_text())
    assert table.rows[0].values["accuracy on planted/validation"] == (stored["metrics"]["accuracy"],)
    assert "teacher's accuracy on planted/validation" in table.rows[0].values
    (difference,) = (each for each in table.differences if each.measure == "accuracy on planted/validation")
    assert difference.p_over_rows is None or 0 <= difference.p_over_rows <= 1


def test_students_are_measured_at_alignments_that_they_were_not_trained_on(tmp_path: Path) -> None:
    place = {"layer": 0, "component": "mlp_output"}
    elsewhere = {
        "name": "elsewhere",
        "positions": {"policy": "all"},
        "pairs": [{"name": "mlp", "teacher": [place], "student": [place]}],
    }
    study = small_study(tmp_path, seeds=[0], measure_at={"mlp": elsewhere})
    table = run_study(study)
    (cell, _) = study.cells()
    file = cell.recipe.folder / "evaluations" / "at-mlp.json"
    report = VerificationReport.read(file)
    assert {(row.pair, row.component) for row in report.interchange} == {("mlp", "mlp_output")}
    (row,) = (row for row in report.interchange if row.baseline == "measured")
    measured = None if row.iia_effective is None else (row.iia_effective,)  # the tiny teacher may not react at all
    assert table.rows[0].values.get("effective IIA at mlp") == measured
    written = file.read_bytes()
    file.unlink()  # as after a kill between the run's own report and this measurement
    assert not StudyFolder(study.folder).is_settled(cell, study)
    run_study(study)
    assert file.read_bytes() == written and _begun(study)[cell.name] == 2


def test_what_cannot_be_is_refused_before_a_cell_begins(tmp_path: Path) -> None:
    for asked, message in (
        ({"task": "mrcp"}, "evaluate: there is no task 'mrcp'"),
        ({"task": "rte", "split": "test"}, "evaluate: rte has no split 'test'; choose one of train, validation"),
    ):
        with pytest.raises(ValueError, match=message):
            run_study(small_study(tmp_path, evaluate=[asked]))
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").write_text("a note")
    with pytest.raises(ValueError, match="out holds something that is no study; choose another `output`"):
        run_study(small_study(tmp_path))
    (tmp_path / "out").unlink()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "recipe.yaml").write_text("name: a run\n")
    with pytest.raises(ValueError, match="out holds something that is no study"):
        run_study(small_study(tmp_path))
