"""A study in a folder: its cells are run one after the other, by one worker or by several, and summed up in a table.

studies/NAME/study.yaml       the study                     studies/NAME/cells/CELL/     a run folder for each cell
studies/NAME/teachers/        the teachers they share       studies/NAME/failures/CELL.json   why a cell failed
studies/NAME/step_costs.json  what a step costs, where a budget needs it
studies/NAME/cells.jsonl      which process began which cell, and when
studies/NAME/table.json, .csv, .md   the table, the same bytes whoever computed it, whenever and after whatever kills
studies/NAME/seconds.csv      what depends on the machine: how long each training took
"""

import errno
import json
import os
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from causalkd.data.tasks.own_data import OwnData
from causalkd.data.tasks.registry import task_spec
from causalkd.files.strict_yaml import dump_text
from causalkd.files.whole_files import write_whole
from causalkd.recipe.study import Cell, Study, with_length
from causalkd.reporting.study_formats import write_table
from causalkd.reporting.study_measures import CellResult
from causalkd.reporting.study_table import StudyTable, study_table
from causalkd.runs.costs.step_costs import StepCost, step_costs
from causalkd.runs.distill import distill
from causalkd.runs.evaluation.asked_task import AskedTask
from causalkd.runs.evaluation.row_scores import row_scores
from causalkd.runs.evaluation.tasks import FOLDER, evaluate_task
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.trained_run import TrainedRun
from causalkd.runs.verify import verified
from causalkd.verification.results.report import VerificationReport

Tell = Callable[[str], None]
_POLL_SECONDS = 0.5
"""How often a worker looks again whether cells that others hold are done."""
_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}
"""Faults that say nothing of a cell: the worker stops, and the cell is run again by the next."""


@dataclass(frozen=True)
class StudyFolder:
    """Where the parts of a study lie."""

    path: Path

    @property
    def teachers(self) -> Path:
        """The store of teachers that cells share."""
        return self.path / "teachers"

    @property
    def log(self) -> Path:
        """Which process began which cell, and when, as JSON lines."""
        return self.path / "cells.jsonl"

    def lock(self, name: str) -> FileLock:
        """The lock of a cell, or of a part of the study; the system lets go of it when its holder is killed."""
        (self.path / "locks").mkdir(parents=True, exist_ok=True)
        return FileLock(self.path / "locks" / f"{name}.lock", timeout=0)

    def failure(self, cell: Cell) -> Path:
        """Why a cell failed."""
        return self.path / "failures" / f"{cell.name}.json"

    def is_settled(self, cell: Cell, study: Study) -> bool:
        """Whether a cell is finished, or has failed."""
        run = RunFolder(cell.recipe.folder)
        wanted = [
            _evaluation(run, cell, name, task.task, task.split) for name in _models(cell) for task in study.evaluate
        ]
        wanted += [_elsewhere(run, place) for place in study.measure_at]
        return self.failure(cell).is_file() or (run.report.is_file() and all(file.is_file() for file in wanted))


def run_study(study: Study, *, retry_failed: bool = False, tell: Tell | None = None) -> StudyTable:
    """Runs every cell that is neither finished nor failed, waits for those that others hold, and writes the table.

    Any number of workers, on any machines that share the folder, may be called with the same study: each takes cells
    that nobody holds. A worker that is killed leaves its cell to the others, or to the next call, which continues it
    from its last checkpoint.

    Args:
        study: The study.
        retry_failed: Run cells again that have failed before.
        tell: Receives a line about each cell that begins, ends or fails.

    Raises:
        ValueError: The study or one of its recipes cannot be used.
        OSError: The machine could not write.
    """
    folder, cells = StudyFolder(study.folder), study.cells()
    _check(study, folder)
    folder.path.mkdir(parents=True, exist_ok=True)
    write_whole(folder.path / "study.yaml", dump_text(study.model_dump(mode="json", exclude_defaults=True)))
    if retry_failed:
        for cell in cells:
            folder.failure(cell).unlink(missing_ok=True)
    cells = _within_budget(study, folder, cells, tell or _silent)
    waiting = sorted(
        cells, key=lambda cell: study.seeds.index(cell.seed)
    )  # what is done first is a study of fewer seeds
    while waiting := [cell for cell in waiting if not folder.is_settled(cell, study)]:
        if not any([_attempted(study, folder, cell, tell or _silent) for cell in waiting]):
            time.sleep(_POLL_SECONDS)
    return _summed_up(study, folder, cells)


def _check(study: Study, folder: StudyFolder) -> None:
    """Refuses tasks that do not exist, before anything is trained, and a folder that holds something else.

    Raises:
        ValueError: One of these.
    """
    for part in study.evaluate:
        try:
            asked = AskedTask.of(part.task)
        except ValueError as error:
            raise ValueError(f"evaluate: {error}") from None
        splits = asked.given.known_splits if isinstance(asked.given, OwnData) else task_spec(asked.given).splits
        if part.split not in splits:
            raise ValueError(f"evaluate: {part.task} has no split {part.split!r}; choose one of {', '.join(splits)}")
    path = folder.path
    # Another worker may be writing the study's file, whose draft begins with a dot.
    holds = path.is_file() or (path.is_dir() and any(not entry.name.startswith(".") for entry in path.iterdir()))
    if holds and not (path / "study.yaml").is_file():
        raise ValueError(f"{path} holds something that is no study; choose another `output`")


def read_study(study: Study) -> StudyTable:
    """The table of what there is so far; runs nothing, and writes the table."""
    return _summed_up(study, StudyFolder(study.folder), study.cells())


def _summed_up(study: Study, folder: StudyFolder, cells: Sequence[Cell]) -> StudyTable:
    table = study_table(study, [_result(study, folder, cell) for cell in cells])
    write_table(table, folder.path)
    return table


def _attempted(study: Study, folder: StudyFolder, cell: Cell, tell: Tell) -> bool:
    """Runs a cell, unless another worker holds it; whether it was this one that did."""
    try:
        with folder.lock(cell.name):
            if folder.is_settled(cell, study):
                return True
            _run(study, folder, cell, tell)
            return True
    except Timeout:
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
        for task in study.evaluate:
            evaluate_task(run.path, task.task, task.split, limit=task.limit, max_length=task.max_length)
        _measure_elsewhere(study, run)
    except Exception as error:  # of any kind: it is the cell's result, and the other cells go on
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            raise
        said = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        folder.failure(cell).parent.mkdir(exist_ok=True)
        write_whole(folder.failure(cell), json.dumps(said, indent=1))
        tell(f"{cell.name} failed: {error}")
    else:
        tell(f"{cell.name} is finished")


def _measure_elsewhere(study: Study, run: RunFolder) -> None:
    """Verifies a finished run at each alignment of the study, at the declared pairs alone."""
    wanted = {place: each for place, each in study.measure_at.items() if not _elsewhere(run, place).is_file()}
    if not wanted:
        return
    trained = TrainedRun.load(run.path)
    part = trained.recipe.verification.model_copy(update={"components": ()})
    recipe = trained.recipe.model_copy(update={"verification": part})
    for place, alignment in wanted.items():
        _elsewhere(run, place).parent.mkdir(exist_ok=True)
        verified(replace(trained, alignment=alignment, recipe=recipe)).write(_elsewhere(run, place))


def _within_budget(study: Study, folder: StudyFolder, cells: Sequence[Cell], tell: Tell) -> tuple[Cell, ...]:
    """The cells with as many steps as a budget of compute or of time allows; measured once, by who comes first."""
    if study.budget is None or study.budget.unit not in ("block_forwards", "minutes"):
        return tuple(cells)
    file, budget = folder.path / "step_costs.json", study.budget
    found: dict[str, dict[str, StepCost]] = {}
    with folder.lock("step_costs").acquire(timeout=-1):
        known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        for cell in cells:
            key = _unseeded(cell)
            if key not in known:
                tell(f"measuring what a step of {cell.variant or study.recipe} costs")
                known[key] = {name: asdict(cost) for name, cost in step_costs(cell.recipe).items()}
                write_whole(file, json.dumps(known, indent=1))
            found[cell.name] = {name: StepCost(**cost) for name, cost in known[key].items()}
    return tuple(
        replace(
            cell,
            recipe=with_length(
                cell.recipe, {name: {"steps": cost.steps(budget)} for name, cost in found[cell.name].items()}
            ),
        )
        for cell in cells
    )


def _unseeded(cell: Cell) -> str:
    return json.dumps([cell.variant, dict(cell.setting)], sort_keys=True)


def _result(study: Study, folder: StudyFolder, cell: Cell) -> CellResult:
    run = RunFolder(cell.recipe.folder)
    if folder.failure(cell).is_file():
        error = json.loads(folder.failure(cell).read_text(encoding="utf-8"))["error"]
        return CellResult(cell, None, {}, {}, {}, error)
    if not folder.is_settled(cell, study):
        return CellResult(cell, None, {}, {}, {}, "it is not finished")
    evaluations: dict[str, dict[str, float | None]] = {}
    rows: dict[tuple[str, str], tuple[float, ...]] = {}
    for name in _models(cell):
        for task in study.evaluate:
            found = json.loads(_evaluation(run, cell, name, task.task, task.split).read_text(encoding="utf-8"))
            scores = {f"{metric} on {task.label}": value for metric, value in found["metrics"].items()}
            evaluations.setdefault(name, {}).update(scores)
            rows[name, task.label] = row_scores(run.path / FOLDER / found["predictions"])
    elsewhere = {place: VerificationReport.read(_elsewhere(run, place)) for place in study.measure_at}
    return CellResult(cell, VerificationReport.read(run.report), evaluations, elsewhere, rows, None)


def _models(cell: Cell) -> list[str]:
    return ["teacher", *(part.name for part in cell.recipe.students)]


def _evaluation(run: RunFolder, cell: Cell, name: str, task: str, split: str) -> Path:
    model = name if name == "teacher" else f"{name}-seed{cell.seed}"
    return run.path / FOLDER / f"{model}-{task}-{split}.json"


def _elsewhere(run: RunFolder, place: str) -> Path:
    return run.path / FOLDER / f"at-{place}.json"


def _silent(line: str) -> None:
    """Drops the line."""
