"""A study: what is done is skipped, kills and second workers change nothing in its table, failures are reported."""

import json
import random
import re
import time
from functools import partial
from pathlib import Path

import pytest

from causalkd.files.whole_files import write_whole
from causalkd.processes.processes import Processes
from causalkd.recipe.study import Study
from causalkd.reporting.study_measures import CellResult
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.setup.source_files import SOURCES
from causalkd.runs.study import read_study, run_study
from causalkd.runs.study_cells import StudyFolder, opened
from causalkd.verification.results.report import VerificationReport
from tests.small_study import VARIANTS, begun, kill_while_it_runs, small_study, tables_of, worker_of


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The small study, run without interruption."""
    study = small_study(tmp_path_factory.mktemp("study"))
    run_study(study)
    return study


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
    before, once = tables_of(whole), begun(whole)
    run_study(whole)
    assert tables_of(whole) == before and begun(whole) == once
    assert set(once.values()) == {1}


def test_a_study_that_is_killed_ten_times_gives_the_same_table(whole: Study, tmp_path: Path) -> None:
    study, drawn = small_study(tmp_path), random.Random(0)
    killed, most = 0, 1.5
    while killed < 10:
        if not kill_while_it_runs(study, drawn.uniform(0.05, most)):
            study, most = small_study(tmp_path / str(killed)), most / 2  # this machine is quick: strike earlier
            continue
        killed += 1
    run_study(study)
    assert tables_of(study) == tables_of(whole)


def test_two_workers_share_a_folder_and_run_no_cell_twice(whole: Study, tmp_path: Path) -> None:
    study = small_study(tmp_path)
    workers = [worker_of(study) for _ in range(2)]
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert begun(study) == {cell.name: 1 for cell in study.cells()}
    assert tables_of(study) == tables_of(whole)


def test_a_worker_waits_for_the_cells_of_another(whole: Study, tmp_path: Path) -> None:
    study = small_study(tmp_path)
    held = opened(study).lock(study.cells()[0].name)
    with held:
        worker = worker_of(study)
        others = {cell.name for cell in study.cells()[1:]}
        deadline = time.monotonic() + 120
        while not all((study.folder / "cells" / name / "report.json").is_file() for name in others):
            assert time.monotonic() < deadline and worker.is_alive()
            time.sleep(0.2)
        assert set(begun(study)) == others
    worker.join()
    assert tables_of(study) == tables_of(whole)


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


def test_what_cannot_be_is_refused_before_a_cell_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for asked, message in (
        ({"task": "mrcp"}, "evaluate: there is no task 'mrcp'"),
        ({"task": "rte", "split": "test"}, "evaluate: rte has no split 'test'; choose one of train, validation"),
    ):
        with pytest.raises(ValueError, match=message):
            run_study(small_study(tmp_path, evaluate=[asked]))
    for task, by, message in (
        (
            "cola",
            "accuracy",
            "choose.by is 'accuracy', which is not a measure of cola; choose one of matthews_correlation, ",
        ),
        ("squad", None, "choose: of squad, the windows of one question would be among the examples and held out"),
    ):
        choose = {"fields": {"training.learning_rate": [0.1, 0.2]}, "by": by}
        with pytest.raises(ValueError, match=message):
            run_study(small_study(tmp_path, choose=choose, grid={"data.task": ["planted", task]}))
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").write_text("a note")
    with pytest.raises(ValueError, match="out holds something that is not a study; choose another `output`"):
        run_study(small_study(tmp_path))
    (tmp_path / "out").unlink()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "recipe.yaml").write_text("name: a run\n")
    for call in (run_study, read_study):
        with pytest.raises(ValueError, match="out holds something that is not a study"):
            call(small_study(tmp_path))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["recipe.yaml"]
    monkeypatch.setattr("causalkd.runs.study.all_processes", lambda: Processes(2, 1))
    with pytest.raises(ValueError, match=r"2 processes were launched as one job, .*call each worker of a study by"):
        run_study(small_study(tmp_path))


def test_finished_cells_of_other_files_are_refused_beside_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na,b\n")
    own = {"path": str(tmp_path / "rows.csv"), "kind": "classification"}
    study = small_study(tmp_path, variants={"own": {**VARIANTS["kd"], "data": own}})
    done = RunFolder(study.cells()[0].recipe.folder)
    done.path.mkdir(parents=True)
    write_whole(done.path.parents[1] / "study.yaml", "")
    write_whole(done.report, "{}")
    write_whole(done.data, json.dumps({SOURCES: {"data.path": "of what the file was"}}))
    said = rf"1 of the finished cells, .*{done.path.name}, were .* of data\.path\."
    with pytest.raises(ValueError, match=said):
        run_study(study)
    assert not (study.folder / "cells.jsonl").exists(), "no cell was begun"
    unread = partial(CellResult, report=None, evaluations={}, rows={}, elsewhere={}, fault="not read here")
    monkeypatch.setattr("causalkd.runs.study.cell_result", lambda study, folder, cell: unread(cell))
    assert re.search(said, read_study(study).budget) and re.search(said, (study.folder / "table.md").read_text())


@pytest.mark.parametrize("name", ["table.csv", "study.html", "cells/notes.txt"])
def test_what_lies_in_the_folder_is_not_replaced_without_a_study_beside_it(tmp_path: Path, name: str) -> None:
    file = tmp_path / "out" / name
    file.parent.mkdir(parents=True)
    file.write_text("the user's own")
    for text in (None, "- a list\n"):
        if text is not None:
            (tmp_path / "out" / "study.yaml").write_text(text)
        for call in (run_study, read_study):
            with pytest.raises(ValueError, match="out holds something that is not a study"):
                call(small_study(tmp_path))
    assert file.read_text() == "the user's own" and (tmp_path / "out" / "study.yaml").read_text() == "- a list\n"


def test_a_worker_that_comes_while_another_one_opens_the_folder_takes_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, read = small_study(tmp_path), Study.read

    def meanwhile(file: Path) -> Study:
        monkeypatch.undo()
        with pytest.raises(ValueError, match="neither a file nor YAML"):
            read(file)
        opened(study)
        raise ValueError("the file was not there when this worker looked")

    monkeypatch.setattr(Study, "read", meanwhile)
    assert opened(study).path == study.folder


def test_a_table_without_a_cell_is_followed_by_a_run(tmp_path: Path) -> None:
    study = small_study(tmp_path, choose={"fields": {"training.learning_rate": [1e-3, 1e-2]}, "share": 0.25})
    read_study(study)
    assert opened(study).path == study.folder and opened(study.choosing()).path == study.folder / "choosing"


def test_a_file_of_the_study_that_says_the_same_keeps_its_remarks(tmp_path: Path) -> None:
    study = small_study(tmp_path, output=str(tmp_path))
    file = tmp_path / "study.yaml"
    file.write_text(text := f"# a remark\n{file.read_text()}")
    opened(study)
    assert file.read_text() == text
    opened(study.model_copy(update={"seeds": (0, 1, 2)}))
    assert Study.load(file).seeds == (0, 1, 2)


def test_a_study_of_another_recipe_leaves_the_table_that_is_there(tmp_path: Path) -> None:
    table = tmp_path / "out" / "table.md"
    table.parent.mkdir()
    other = "name: small\nrecipe: quickstart-lm\n"
    write_whole(table.with_name("study.yaml"), other)
    table.write_text("the table of the other")
    study = small_study(tmp_path)
    for call in (run_study, read_study):
        with pytest.raises(ValueError, match=r"a study of the recipe 'quickstart-lm', and this one is of 'quickstart'"):
            call(study)
    assert table.read_text() == "the table of the other"
    study.cells()[0].recipe.folder.mkdir(parents=True)  # a cell of this study: the recipe was called otherwise
    assert set(read_study(study).failures.values()) == {"it is not finished"}
    choosing = small_study(tmp_path, choose={"fields": {"training.learning_rate": [1e-3, 1e-2]}, "share": 0.25})
    study.cells()[0].recipe.folder.rmdir()
    write_whole(table.with_name("study.yaml"), other)
    with pytest.raises(ValueError, match="a study of the recipe"):
        opened(choosing)
    choosing.choosing().cells()[0].recipe.folder.mkdir(parents=True)  # its own cells go by the settings that are chosen
    opened(choosing)
