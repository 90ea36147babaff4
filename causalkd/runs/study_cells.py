"""The cells of a study in its folder: their state, their runs, their failures and their results."""

import json
import os
import shutil
import socket
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from causalkd.files.disk_faults import disk_fault
from causalkd.files.refusals import refused
from causalkd.files.whole_files import write_whole
from causalkd.recipe.study import Cell, Study
from causalkd.reporting.study_measures import CellResult
from causalkd.runs.distill import distill
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.lock import Occupied, is_occupied
from causalkd.runs.study_measurements import is_measured, measure_further, read_further
from causalkd.verification.results.report import VerificationReport

Tell = Callable[[str], None]
_FULL = 2**20
"""If fewer bytes than this are left on the disk, any failure of a cell may be due to that, and is not recorded as the
cell's result."""


@dataclass(frozen=True)
class StudyFolder:
    """The paths of the parts of a study."""

    path: Path

    @property
    def teachers(self) -> Path:
        """The store of teachers that cells share."""
        return self.path / "teachers"

    @property
    def failures(self) -> Path:
        """The folder with a file about each failed cell."""
        return self.path / "failures"

    @property
    def log(self) -> Path:
        """The process and the time of the start of each cell, as JSON lines."""
        return self.path / "cells.jsonl"

    def lock(self, name: str) -> FileLock:
        """The lock of a cell, or of a part of the study; the system releases it when its holder is killed."""
        (self.path / "locks").mkdir(parents=True, exist_ok=True)
        return FileLock(self.path / "locks" / f"{name}.lock", timeout=0)

    def failure(self, cell: Cell) -> Path:
        """The file with the error of a failed cell."""
        return self.failures / f"{cell.name}.json"

    def is_settled(self, cell: Cell, study: Study) -> bool:
        """Whether a cell is finished, or has failed."""
        run = RunFolder(cell.recipe.folder)
        return self.failure(cell).is_file() or (run.report.is_file() and is_measured(study, run))


def opened(study: Study) -> StudyFolder:
    """The folder of a study, made if it is not there, with the study's file; one that says the same stays as it is,
    since it may be the user's own, with remarks.

    Raises:
        ValueError: The folder holds something else, or a study of another recipe, whose table would be replaced.
    """
    path, file = study.folder, study.folder / "study.yaml"
    # Looked at before the file is read: another worker writes that first, by a draft that begins with a dot.
    is_used = path.is_file() or (path.is_dir() and any(not entry.name.startswith(".") for entry in path.iterdir()))
    before = _read(file)
    # A recipe may have moved: where there are cells of this study, it is the same one. Those in which settings are
    # chosen are looked for too, because the chosen ones give the study's own cells other names.
    if (before is None or before.recipe != study.recipe) and not any(
        cell.recipe.folder.is_dir() for each in (study, study.choosing()) for cell in each.cells()
    ):
        if before is not None:
            raise ValueError(
                f"{path} holds a study of the recipe {before.recipe!r}, and this one is of {study.recipe!r}; choose "
                f"another `name` or `output`, or, to go on there, write this recipe into {file}"
            )
        if is_used:
            raise ValueError(f"{path} holds something that is not a study; choose another `output`")
    path.mkdir(parents=True, exist_ok=True)
    if before != study:
        write_whole(file, study.to_yaml(defaults=False))
    return StudyFolder(path)


def _read(file: Path) -> Study | None:
    """The study that a file describes; None if it describes none."""
    with suppress(ValueError):
        return Study.read(file)
    return None


def attempted(study: Study, folder: StudyFolder, cell: Cell, tell: Tell) -> bool:
    """Runs a cell, unless another worker holds it, or any process works in its folder; whether this worker did."""
    try:
        with folder.lock(cell.name):
            if folder.is_settled(cell, study):
                return True
            if is_occupied(cell.recipe.folder):
                return False
            _run(study, folder, cell, tell)
            return True
    except (Timeout, Occupied):
        return False


def _run(study: Study, folder: StudyFolder, cell: Cell, tell: Tell) -> None:
    began = {"cell": cell.name, "process": os.getpid(), "host": socket.gethostname(), "time": time.time()}
    with folder.log.open("ab", buffering=0) as log:
        log.write(f"{json.dumps(began)}\n".encode())  # in one call, so that no other process's row comes between
    tell(f"{cell.name} begins")
    try:
        run = RunFolder(cell.recipe.folder)
        if not run.report.is_file():
            distill(cell.recipe, teachers=folder.teachers, tell=tell)
        measure_further(study, run)
    except Occupied:  # since it was looked at
        raise
    except Exception as error:  # of any kind: it is the cell's result, and the other cells go on
        record_failure(folder, cell, error, tell)
    else:
        tell(f"{cell.name} is finished")


def record_failure(folder: StudyFolder, cell: Cell, error: Exception, tell: Tell) -> None:
    """Writes why a cell failed; raises errors that do not come from the cell, such as a full disk, so that the worker
    stops and the next one runs the cell again.
    """
    if disk_fault(error) is not None or shutil.disk_usage(folder.path).free < _FULL:
        raise error
    said = {"error": f"{type(error).__name__}: {error}", "traceback": "".join(traceback.format_exception(error))}
    folder.failure(cell).parent.mkdir(exist_ok=True)
    write_whole(folder.failure(cell), json.dumps(said, indent=1))
    tell(f"{cell.name} failed: {error}")


def cell_result(study: Study, folder: StudyFolder, cell: Cell) -> CellResult:
    """The result of a cell, from its folder; if it has failed or is not finished, the reason."""
    run = RunFolder(cell.recipe.folder)
    if folder.failure(cell).is_file():
        with refused(f"{folder.failure(cell)} is damaged", "delete it, and the study runs the cell again"):
            error = json.loads(folder.failure(cell).read_text(encoding="utf-8"))["error"]
        return CellResult(cell, None, {}, {}, {}, error)
    if not folder.is_settled(cell, study):
        return CellResult(cell, None, {}, {}, {}, "it is not finished")
    found = read_further(study, run)
    # The names of a student's files end in its seed; a cell has only one.
    names = {f"{part.name}-seed{cell.seed}": part.name for part in cell.recipe.students}
    evaluations = {names.get(model, model): scores for model, scores in found.evaluations.items()}
    rows = {(names.get(model, model), measure): scores for (model, measure), scores in found.rows.items()}
    return CellResult(cell, VerificationReport.read(run.report), evaluations, found.elsewhere, rows, None)
