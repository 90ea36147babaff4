"""A study in a folder: its cells are run by one worker or by several, and their results are collected in a table.

studies/NAME/study.yaml       the study                     studies/NAME/cells/CELL/     a run folder for each cell
studies/NAME/teachers/        the teachers they share       studies/NAME/failures/CELL.json   the error of a failed cell
studies/NAME/choosing/        the study that chose the settings, with a table of its own
studies/NAME/step_costs.json  the cost of a step, if a budget needs it
studies/NAME/cells.jsonl      the process and the time of the start of each cell
studies/NAME/table.json, .csv, .md   the table, with the same bytes for any number of workers and interruptions
studies/NAME/seconds.csv      the seconds of each training, which depend on the machine
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from causalkd.data.tasks.own_data import OwnData
from causalkd.data.tasks.registry import task_spec
from causalkd.data.tasks.row_kinds import ROW_KINDS
from causalkd.files.refusals import refused
from causalkd.files.whole_files import write_whole
from causalkd.processes.processes import all_processes
from causalkd.recipe.overrides import LENGTHS
from causalkd.recipe.sections import DataPart
from causalkd.recipe.study import Cell, Study
from causalkd.recipe.study_parts import with_length
from causalkd.reporting.study_choice import as_changes, choices
from causalkd.reporting.study_formats import write_table
from causalkd.reporting.study_measures import ALIGNED, OTHER, CellResult
from causalkd.reporting.study_power import planned_differences
from causalkd.reporting.study_table import study_table
from causalkd.reporting.study_types import Choice, Planned, StudyTable
from causalkd.runs.costs.step_costs import StepCost, step_costs
from causalkd.runs.evaluation.evaluation_task import EvaluationTask
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.setup.data import data_of
from causalkd.runs.setup.progress_bars import no_bars_in_logs
from causalkd.runs.setup.source_files import changed_sources
from causalkd.runs.study_cells import StudyFolder, Tell, attempted, cell_result, opened, record_failure
from causalkd.task_types import Task
from causalkd.verification.measures.metrics import reported

_POLL_SECONDS = 0.5
"""Seconds between two checks of whether cells that other workers hold are done."""


@no_bars_in_logs()
def run_study(
    study: Study,
    *,
    retry_failed: bool = False,
    only_power: bool = False,
    page: Callable[[StudyTable, Path], None] | None = None,
    tell: Tell | None = None,
) -> StudyTable:
    """Runs every cell that is neither finished nor failed, waits for those of other workers, and writes the table.

    Any number of workers, on any machines that share the folder, may be called with the same study: each takes cells
    that no other worker holds. A worker that is killed leaves its cell to the others, or to the next call, which
    continues it from its last checkpoint. Settings are chosen first, in a study of its own in the folder `choosing`;
    then the cells of the pilot are run, and the smallest differences that the study can show are written before any
    other cell begins.

    Args:
        study: The study.
        retry_failed: Run cells again that have failed before, including those of the choice, which may then change.
        only_power: Stop when the smallest differences that the study can show are written.
        page: Writes a page of a table into a folder; called when those smallest differences are known.
        tell: Receives a line about each cell that begins, ends or fails.

    Raises:
        ValueError: The study or one of its recipes cannot be used, or this is one of several processes of a job.
        OSError: The machine could not write.
    """
    if only_power and study.power is None:
        raise ValueError(f"study {study.name!r} has no `power`: give it `pilot_seeds`, or `sd` for its measures")
    if (count := all_processes().count) > 1:
        raise ValueError(
            f"{count} processes were launched as one job, and would train different cells as if they were one; call "
            "each worker of a study by itself, without a launcher such as torchrun"
        )
    _check(study)
    folder, tell = opened(study), tell or (lambda line: None)
    chosen: tuple[Choice, ...] = ()
    if study.choose is not None:
        chosen = choices(study, run_study(study.choosing(), retry_failed=retry_failed, tell=tell))
    cells = study.cells(as_changes(chosen))
    _refuse_changed(folder, cells)
    if retry_failed:
        for cell in cells:
            folder.failure(cell).unlink(missing_ok=True)
    _tell_of_failures(folder, cells, tell)
    _fail_without_choice(folder, cells, chosen, tell)
    cells = _within_budget(study, folder, cells, tell)
    if study.power is not None:
        _run_all(study, folder, _pilot(study, cells), tell)
        table = _summed_up(study, folder, cells, chosen)
        if page is not None:
            page(table, folder.path)
        if only_power:
            return table
    _run_all(study, folder, cells, tell)
    return _summed_up(study, folder, cells, chosen)


def _tell_of_failures(folder: StudyFolder, cells: Sequence[Cell], tell: Tell) -> None:
    failed = sum(folder.failure(cell).is_file() for cell in cells)
    if failed:
        tell(f"{failed} of {len(cells)} cells failed in an earlier call and are left; --retry-failed runs them again")


def _check(study: Study) -> None:
    """Refuses, before anything is trained, tasks that do not exist or share a name, and a choice that is impossible.

    Raises:
        ValueError: One of these.
    """
    names: set[tuple[str, str]] = set()
    for part in study.evaluate:
        try:
            task = EvaluationTask.of(part.task)
            task.check_split(part.split)
        except ValueError as error:
            raise ValueError(f"evaluate: {error}") from None
        splits = task.given.known_splits if isinstance(task.given, OwnData) else task_spec(task.given).splits
        if part.split not in splits:
            raise ValueError(f"evaluate: {part.task} has no split {part.split!r}; choose one of {', '.join(splits)}")
        if (task.name, part.split) in names:
            raise ValueError(
                f"evaluate: {task.name}/{part.split} is measured twice, and its figures would share one name; leave "
                f"one of them out{', or rename its file' if isinstance(task.given, OwnData) else ''}"
            )
        names.add((task.name, part.split))
    if study.choose is not None:
        _check_choice(study)


def _check_choice(study: Study) -> None:
    """Refuses, before anything is trained, a choice of settings that is impossible for a task of the study.

    Raises:
        ValueError: A part of the training examples cannot be held out, or `choose.by` is not a measure of a task.
    """
    by, faults = None if study.choose is None else study.choose.by, []
    for cell in study.cells():
        name = cell.recipe.data.data_name
        kind, (metric, *further) = _metrics_of(cell.recipe.data)
        if kind == "question_answering":
            faults.append(f"choose: of {name}, the windows of one question would be among the examples and held out")
        known = (*reported(metric, further), "agreement", *(f"effective IIA at {sites}" for sites in (ALIGNED, OTHER)))
        if by is not None and by not in known:
            faults.append(f"choose.by is {by!r}, which is not a measure of {name}; choose one of {', '.join(known)}")
    if faults:
        raise ValueError("\n".join(dict.fromkeys(faults)))


def _metrics_of(data: DataPart) -> tuple[Task, tuple[str, ...]]:
    """The kind of predictions of a recipe's models, and its metrics, the main one first; read without the rows."""
    given = data_of(data)
    if isinstance(given, OwnData):
        return given.task, given.metrics or (ROW_KINDS[given.kind].metric,)
    spec = task_spec(given)
    return spec.kind, (spec.metric, *spec.further)


def _refuse_changed(folder: StudyFolder, cells: Sequence[Cell]) -> None:
    """Refuses to go on where files that cells name are others than when these cells were run: the table would mix
    both.
    """
    others = _of_other_files(folder, cells)
    if others:
        raise ValueError(
            f"in {folder.path} {others} Their figures cannot stand in one table with new ones; put the files back, "
            "with CAUSALKD_DATA as it was, or choose another `output`"
        )


def _of_other_files(folder: StudyFolder, cells: Sequence[Cell]) -> str:
    """A sentence about the finished cells that were run with other files than there are now; empty without any."""
    finished = [(cell, RunFolder(cell.recipe.folder)) for cell in cells]
    changed = {cell.name: changed_sources(run, cell.recipe) for cell, run in finished if run.finished}
    others = [name for name, keys in changed.items() if keys]
    if not others:
        return ""
    keys = dict.fromkeys(key for found in changed.values() for key in found)
    return (
        f"{len(others)} of the finished cells, such as {others[0]}, were run with other files than there are now: "
        f"those of {', '.join(keys)}."
    )


def read_study(study: Study) -> StudyTable:
    """The table of what there is so far; runs nothing, and writes the table. Where files that finished cells were run
    with have changed, it says so.

    Raises:
        ValueError: The study cannot be used, or the folder holds something else or another study.
    """
    folder, chosen = opened(study), ()
    if study.choose is not None:
        choosing = study.choosing()
        table, tried = read_study(choosing), StudyFolder(choosing.folder)
        if not all(tried.is_settled(cell, choosing) for cell in choosing.cells()):
            results = [CellResult(cell, None, {}, {}, {}, "its settings are not chosen yet") for cell in study.cells()]
            table = study_table(study, results)
            write_table(table, folder.path)
            return table
        chosen = choices(study, table)
    cells = study.cells(as_changes(chosen))
    return _summed_up(study, folder, cells, chosen, _of_other_files(folder, cells))


def _run_all(study: Study, folder: StudyFolder, cells: Sequence[Cell], tell: Tell) -> None:
    """Runs cells, alone or as one of several workers, until all are settled."""
    # In the order of the seeds, so that the finished cells are a study of fewer seeds.
    waiting = sorted(cells, key=lambda cell: study.seeds.index(cell.seed))
    while waiting := [cell for cell in waiting if not folder.is_settled(cell, study)]:
        if not any([attempted(study, folder, cell, tell) for cell in waiting]):
            time.sleep(_POLL_SECONDS)


def _pilot(study: Study, cells: Sequence[Cell]) -> list[Cell]:
    """The cells from which the smallest differences that the study can show are calculated."""
    number = None if study.power is None else study.power.pilot_seeds
    return [cell for cell in cells if cell.seed in study.seeds[: number or 0]]


def _fail_without_choice(folder: StudyFolder, cells: Sequence[Cell], chosen: Sequence[Choice], tell: Tell) -> None:
    """Records a failure of every cell that has a student for which no setting could be chosen."""
    for each in chosen:
        for cell in cells:
            if each.fields is None and cell.variant == each.variant and dict(cell.setting) == dict(each.setting):
                error = ValueError(f"no setting of {each.method} has a result of every seed; see the folder `choosing`")
                record_failure(folder, cell, error, tell)


def _summed_up(
    study: Study, folder: StudyFolder, cells: Sequence[Cell], chosen: Sequence[Choice], note: str = ""
) -> StudyTable:
    planned: tuple[Planned, ...] = ()
    pilot = _pilot(study, cells)
    if study.power is not None and all(folder.is_settled(cell, study) for cell in pilot):
        first = study_table(study, [cell_result(study, folder, cell) for cell in pilot]) if pilot else None
        planned = planned_differences(study, first)
    table = study_table(study, [cell_result(study, folder, cell) for cell in cells], chosen, planned)
    table = replace(table, budget=f"{table.budget} {note}".rstrip())
    write_table(table, folder.path)
    return table


def _within_budget(study: Study, folder: StudyFolder, cells: Sequence[Cell], tell: Tell) -> tuple[Cell, ...]:
    """The cells with as many steps as a budget of compute or time allows; measured once, by the first worker."""
    if study.budget is None or study.budget.unit in LENGTHS:
        return tuple(cells)
    file, budget = folder.path / "step_costs.json", study.budget
    found: dict[str, dict[str, dict[str, int]]] = {}
    with folder.lock("step_costs").acquire(timeout=-1):
        with refused(f"{file} is damaged", "delete it, and the costs are measured again"):
            known = dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
        for cell in cells:
            key = _unseeded(cell)
            if folder.failure(cell).is_file():
                continue
            if not all("operations" in cost for cost in known.get(key, {"": {}}).values()):
                tell(f"measuring what a step of {cell.variant or study.recipe} costs")
                try:
                    known[key] = {name: asdict(cost) for name, cost in step_costs(cell.recipe).items()}
                except Exception as error:  # of any kind: the cell could not be run either
                    record_failure(folder, cell, error, tell)
                    continue
                write_whole(file, json.dumps(known, indent=1))
            try:
                found[cell.name] = {n: {"steps": StepCost(**cost).steps(budget)} for n, cost in known[key].items()}
            except ValueError as error:
                record_failure(folder, cell, error, tell)
    return tuple(
        replace(cell, recipe=with_length(cell.recipe, found[cell.name])) if cell.name in found else cell
        for cell in cells
    )


def _unseeded(cell: Cell) -> str:
    """A key of all settings that the cost of a step depends on, which are all but the seed."""
    content = cell.recipe.model_dump(mode="json", exclude={"name", "output", "seeds"}, exclude_defaults=True)
    content["teacher"].pop("seed", None)
    return json.dumps([cell.variant, dict(cell.setting), content], sort_keys=True)
