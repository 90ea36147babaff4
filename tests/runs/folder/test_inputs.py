"""A run that would overwrite what it reads, or that the disk cannot hold, is refused before anything happens."""

import os
from pathlib import Path

import pytest

from causalkd.files.whole_files import write_whole
from causalkd.runs import distill as runs
from causalkd.runs.folder.inputs import check_inputs_outside, check_names_fit
from tests.shrunk import RESUMED, planted_model, shrunk

OF_CHECKPOINT = ("teacher.config=null", "teacher.training=null")


def test_overwriting_never_deletes_an_input(tmp_path: Path) -> None:
    run = tmp_path / "run"
    planted_model().save_pretrained(run / "teacher")
    before = sorted(run.rglob("*"))
    changes = [change for change in RESUMED if not change.startswith("teacher.")]
    recipe = shrunk("quickstart", run, *changes, "teacher={model: " + str(run / "teacher") + "}")
    for overwrite in (False, True):
        with pytest.raises(
            ValueError, match=r"teacher.model is '.*teacher', which lies in that folder.*another `output`"
        ):
            runs.distill(recipe, overwrite=overwrite)
    assert sorted(run.rglob("*")) == before


def test_every_input_is_looked_at_through_links_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    (run / "data").mkdir(parents=True)
    (tmp_path / "link").symlink_to(run / "data")
    write_whole(run / "alignment.yaml", "name: middle")
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path / "link"))
    student = f"[{{name: own, model: {run / 'data'}, objectives: {{response_kd: {{}}}}}}]"
    recipe = shrunk("quickstart", run, f"alignment={run / 'alignment.yaml'}", f"students={student}")
    with pytest.raises(ValueError, match=r"alignment is '.*', students.own.model is '.*', CAUSALKD_DATA is '.*link'"):
        check_inputs_outside(recipe)
    check_inputs_outside(shrunk("quickstart", tmp_path / "other", f"alignment={run / 'alignment.yaml'}"))


def test_names_that_no_disk_holds(tmp_path: Path) -> None:
    long = "a" * (os.pathconf(tmp_path, "PC_NAME_MAX") + 1)
    with pytest.raises(ValueError, match=r"cannot be made in .*File name too long; choose a shorter"):
        check_names_fit(shrunk("quickstart", tmp_path / long))
    check_names_fit(shrunk("quickstart", tmp_path))
