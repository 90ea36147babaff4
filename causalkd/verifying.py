"""What a run's report holds: every measurement of its models on held-out pairs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from causalkd.alignment.resolve import resolve
from causalkd.build import build_pairs, build_rows
from causalkd.build_objectives import INTERCHANGING
from causalkd.data.batch import Batch
from causalkd.data.generated import causal_model
from causalkd.recipe_parts import StudentPart
from causalkd.trained_run import TrainedRun
from causalkd.verification.attribution import AttributionResults
from causalkd.verification.behaviour import choices, evaluate, right_rows
from causalkd.verification.departures import departures
from causalkd.verification.distances import distances
from causalkd.verification.findings import Departure, DistanceRow, GroundTruthRow
from causalkd.verification.ground_truth import KnownAnswers, ground_truth
from causalkd.verification.heads import BY_HEAD, measure_heads
from causalkd.verification.interchange_accuracy import measure_all
from causalkd.verification.report import (
    DifferenceRow,
    InterchangeRow,
    StudentResult,
    TeacherResult,
    VerificationReport,
    environment,
)
from causalkd.verification.scores import differences

Row = TypeVar("Row", InterchangeRow, DifferenceRow)


def verified(run: TrainedRun) -> VerificationReport:
    """Measures the students of a run, and its teacher, on the held-out pairs that its recipe chooses."""
    taught, results = _results(run)
    pairs = build_pairs(run.recipe, run.data, run.alignment, rightly_answered(run))
    rows, compared = _measure(run, pairs)
    return VerificationReport(
        teacher=taught,
        students=results,
        alignment=run.alignment,
        interchange=rows,
        environment=environment(run.teacher, run.recipe.verification.seed),
        differences=compared,
        attribution=AttributionResults.read(run.folder.attribution_results),
        ground_truth=_ground_truth(run, pairs),
        departures=_departures(run, pairs),
        distances=_distances(run, pairs),
        heads=_heads(run, pairs),
    )


def references(students: Sequence[StudentPart]) -> dict[str, tuple[str, ...]]:
    """Whom each student is compared with: the first, and if it exchanges activations every one that does not."""
    first, plain = students[0].name, [part.name for part in students if not _exchanges(part)]
    chosen = {part.name: [first, *(plain if _exchanges(part) else [])] for part in students}
    return {name: tuple(dict.fromkeys(other for other in others if other != name)) for name, others in chosen.items()}


def _exchanges(part: StudentPart) -> bool:
    return bool(INTERCHANGING & set(part.objectives.chosen()))


def rightly_answered(run: TrainedRun) -> Tensor | None:
    """Which held-out examples every model answers rightly, where the recipe asks for pairs of such."""
    if run.recipe.verification.choose != "both_right":
        return None
    rows = build_rows(run.recipe, run.data)
    models = (run.teacher, *(student.model for student in run.students))
    return torch.stack([right_rows(model, rows) for model in models]).all(0)


def _ground_truth(run: TrainedRun, pairs: Sequence[Batch]) -> tuple[GroundTruthRow, ...]:
    """Every model against the task's own causal model, where that is known."""
    known = causal_model(run.recipe.data.task)
    if known is None:
        return ()
    answers = KnownAnswers.of(known.counterfactuals, known.variables, pairs)
    models = [("teacher", None, run.teacher), *((part.name, seed, model) for part, seed, model in run.students)]
    found = (ground_truth(model, answers, pairs, name=name, seed=seed) for name, seed, model in models)
    return tuple(row for rows in found for row in rows)


def _departures(run: TrainedRun, pairs: Sequence[Batch]) -> tuple[Departure, ...]:
    """Of classifiers, where each student departs most."""
    found: list[Departure] = []
    for part, seed, model in run.students if run.teacher.task == "classification" else ():
        places = resolve(run.alignment, run.teacher, model)
        found += departures(run.teacher, model, places, pairs, name=part.name, seed=seed)
    return tuple(found)


def _distances(run: TrainedRun, pairs: Sequence[Batch]) -> tuple[DistanceRow, ...]:
    """How far exchanged states are from clean ones, in every model at every declared pair."""
    first = resolve(run.alignment, run.teacher, run.students[0].model)
    found = distances(run.teacher, {pair.name: pair.teacher for pair in first.pairs}, pairs, name="teacher")
    for part, seed, model in run.students:
        sites = {pair.name: pair.student for pair in resolve(run.alignment, run.teacher, model).pairs}
        found += distances(model, sites, pairs, name=part.name, seed=seed)
    return found


def _heads(run: TrainedRun, pairs: Sequence[Batch]) -> tuple[InterchangeRow, ...]:
    """Head against head, where the recipe names the component that is split by heads."""
    if BY_HEAD not in run.recipe.verification.components:
        return ()
    subjects = [(student.model, resolve(run.alignment, run.teacher, student.model)) for student in run.students]
    measured = measure_heads(run.teacher, subjects, pairs, [student.seed for student in run.students])
    found = (each.rows(part.name, seed) for (part, seed, _), each in zip(run.students, measured, strict=True))
    return tuple(row for rows in found for row in rows)


def _measure(run: TrainedRun, pairs: Sequence[Batch]) -> tuple[tuple[InterchangeRow, ...], tuple[DifferenceRow, ...]]:
    part, rows, compared = run.recipe.verification, [], []
    exchanged = any(_exchanges(student.part) for student in run.students)
    subjects = [(student.model, resolve(run.alignment, run.teacher, student.model)) for student in run.students]
    for component in part.components or (None,):
        measured = measure_all(
            run.teacher,
            subjects,
            pairs,
            component=component,
            trained=None if exchanged else (),
            seeds=[student.seed for student in run.students],
        )
        found = {(student.name, seed): each for (student, seed, _), each in zip(run.students, measured, strict=True)}
        rows += [row for (name, seed), each in found.items() for row in each.rows(name, seed)]
        compared += differences(found, references(run.recipe.students))
    return _distinct(rows), _distinct(compared)


def _distinct(rows: list[Row]) -> tuple[Row, ...]:
    """Each row once: a declared pair is measured beside the grid of every component, with which its q varies."""
    found: dict[Row, Row] = {}
    for row in rows:
        found.setdefault(replace(row, q_value=None), row)
    return tuple(found.values())


def _results(run: TrainedRun) -> tuple[TeacherResult, tuple[StudentResult, ...]]:
    recipe, teacher = run.recipe, run.teacher
    metric, rows = run.data.heldout.metric, build_rows(recipe, run.data)
    name = recipe.teacher.model or str((recipe.teacher.config or {})["model_type"])
    taught = TeacherResult(name, teacher.task, metric, evaluate(teacher, rows, metric).task_metric)
    found, of_teacher = [], choices(teacher, rows)
    for part, seed, student in run.students:
        behaviour = evaluate(student, rows, metric, of_teacher)
        cost = run.folder.read_cost(f"{part.name}-seed{seed}")
        weights = {objective: chosen.weight for objective, chosen in part.objectives.chosen().items()}
        found.append(StudentResult(part.name, weights, seed, behaviour.task_metric, behaviour.agreement, *cost))
    return taught, tuple(found)
