"""A study's further measurements of a finished cell: on further tasks, and at other alignments.

CELL/evaluations/study.json       the settings of the measurements; if a study changes them, it measures again
CELL/evaluations/at-NAME.json     a report at an alignment of `measure_at`
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from causalkd.data.tasks.registry import TASKS
from causalkd.files.refusals import refused
from causalkd.files.whole_files import write_whole
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import DataPart
from causalkd.recipe.study import Study
from causalkd.recipe.study_parts import EvaluationPart
from causalkd.runs.evaluation.evaluation_task import data_part
from causalkd.runs.evaluation.row_scores import row_scores
from causalkd.runs.evaluation.stored import FOLDER
from causalkd.runs.evaluation.tasks import evaluate_task
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.made_of import is_known_of, models_of
from causalkd.runs.setup.source_files import data_files, digests_of
from causalkd.runs.trained_run import TrainedRun
from causalkd.runs.verify import verified
from causalkd.verification.results.report import VerificationReport

_REPORT = "report"


class FurtherMeasurements(NamedTuple):
    """All measurements of a cell in addition to its own report."""

    evaluations: dict[str, dict[str, float | None]]
    """Scores on other tasks, by the model's name in its file."""
    rows: dict[tuple[str, str], tuple[float, ...]]
    """The score of each row of another task, by model and by the measure that is their mean; empty for other
    measures."""
    elsewhere: dict[str, VerificationReport]
    """The reports at other alignments, by their names in the study."""


def is_measured(study: Study, run: RunFolder) -> bool:
    """Whether all further measurements of the study were made with its present settings."""
    return not list(_lacking(study, run))


def measure_further(study: Study, run: RunFolder) -> None:
    """Makes the further measurements that a finished run lacks.

    Raises:
        ValueError: A task does not exist, or the models' head is for another task.
    """
    for name in _lacking(study, run):
        task = next((task for task in study.evaluate if task.label == name), None)
        files = _at_alignment(study, run, name) if task is None else _on_task(run, task)
        found = _record(run) | {name: {"asked": _settings(study)[name], "made_of": _made_of(run), "files": files}}
        write_whole(_folder(run) / "study.json", json.dumps(found, indent=1) + "\n")


def read_further(study: Study, run: RunFolder) -> FurtherMeasurements:
    """The further measurements of a finished run."""
    found, record = FurtherMeasurements({}, {}, {}), _record(run)
    for task in study.evaluate:
        for model, name in record[task.label]["files"].items():
            file = _folder(run) / name
            with refused(f"{file} is damaged", "delete it, and call the study again"):
                stored = json.loads(file.read_text(encoding="utf-8"))
                scores = {f"{metric} on {task.label}": value for metric, value in stored["metrics"].items()}
                for metric in stored["metrics"]:
                    by_row = row_scores(file.with_name(f"{file.name.removesuffix('.json')}.parquet"), metric)
                    found.rows[model, f"{metric} on {task.label}"] = by_row
            found.evaluations.setdefault(model, {}).update(scores)
    for name in study.measure_at:
        found.elsewhere[name] = VerificationReport.read(_folder(run) / record[name]["files"][_REPORT])
    return found


def _settings(study: Study) -> dict[str, Any]:
    """The settings of each further measurement, by its name: all that the figures depend on besides the run."""
    tasks = {task.label: {**task.model_dump(mode="json"), "data": _data(task)} for task in study.evaluate}
    return tasks | {name: alignment.to_yaml() for name, alignment in study.measure_at.items()}


def _data(task: EvaluationPart) -> list[Any] | None:
    """The keys of a task that is a YAML file, and digests of the files that they or the task's name stand for; None
    for a name without files on this machine.
    """
    part = data_part(task.task)
    if part is not None:
        return [part.model_dump(mode="json", exclude_defaults=True), digests_of(data_files(part))]
    # A name that no task has is refused by whoever measures it.
    files = digests_of(data_files(DataPart(task=task.task))) if task.task in TASKS else {}
    return [{}, files] if files else None


def _lacking(study: Study, run: RunFolder) -> Iterator[str]:
    record, asked_for = _record(run), _settings(study)
    made_of = _made_of(run) if asked_for else {}
    for name, asked in asked_for.items():
        known = record.get(name, {"asked": None, "files": {}})
        is_other = known["asked"] != asked or not is_known_of(known.get("made_of"), made_of)
        if is_other or not all((_folder(run) / file).is_file() for file in known["files"].values()):
            yield name


def _made_of(run: RunFolder) -> dict[str, str]:
    """Which models a run has now, which may have been trained anew since something was measured of them."""
    return models_of(run, Recipe.load(run.recipe))


def _record(run: RunFolder) -> dict[str, Any]:
    file = _folder(run) / "study.json"
    with refused(f"{file} is damaged", "delete it, and call the study again"):
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def _on_task(run: RunFolder, task: EvaluationPart) -> dict[str, str]:
    options = {"limit": task.limit, "max_length": task.max_length, "overwrite": True}  # the record decides when
    rows = evaluate_task(run.path, task.task, task.split, **options)
    return {row["model"]: row["file"] for row in rows}


def _at_alignment(study: Study, run: RunFolder, name: str) -> dict[str, str]:
    """Verifies a run at an alignment of the study, at the declared pairs alone."""
    trained, file = TrainedRun.load(run.path), f"at-{name}.json"
    part = trained.recipe.verification.model_copy(update={"components": ()})
    recipe = trained.recipe.model_copy(update={"verification": part})
    _folder(run).mkdir(exist_ok=True)
    verified(replace(trained, alignment=study.measure_at[name], recipe=recipe)).write(_folder(run) / file)
    return {_REPORT: file}


def _folder(run: RunFolder) -> Path:
    return run.path / FOLDER
