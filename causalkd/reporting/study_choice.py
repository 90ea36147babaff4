"""The choice of settings for each method of a study: the best of those that were tried on the training examples."""

from collections.abc import Mapping, Sequence
from typing import Any

from causalkd.data.tasks.kinds import LESS_IS_BETTER
from causalkd.recipe.study import Choices, Study, choice_key
from causalkd.reporting.study_measures import NOT_COMPARED, PAIRS
from causalkd.reporting.study_table import StudyTable, said
from causalkd.reporting.study_types import Choice, Row, Tried
from causalkd.verification.statistics.aggregate import mean


def choices(study: Study, table: StudyTable) -> tuple[Choice, ...]:
    """The choice of every method in every setting of the study's grid.

    Args:
        study: The study, with `choose`.
        table: The finished table of `study.choosing()`.

    Raises:
        ValueError: `choose.by` is not a measure of the students.
    """
    part = study.choose
    assert part is not None
    rows = {(row.method, said(row.setting)): row for row in table.rows}
    found: dict[str, tuple[tuple[str, str, str, Mapping[str, Any]], dict[str, tuple[Mapping[str, Any], Row]]]] = {}
    for cell in study.choosing().cells():
        own = {field: cell.setting[field] for field in study.grid}
        fields = {field: cell.setting[f"students.*.{field}"] for field in part.fields}
        for student in cell.recipe.students:
            method = cell.method(student.name)
            one = fields, rows[method, said(cell.setting)]
            names = (cell.variant, student.name, method, own)
            found.setdefault(choice_key(cell.variant, student.name, own), (names, {}))[1][said(fields)] = one
    return tuple(_choice(*names, part.by, list(tried.values())) for names, tried in found.values())


def _choice(
    variant: str,
    student: str,
    method: str,
    setting: Mapping[str, Any],
    by: str | None,
    rows: Sequence[tuple[Mapping[str, Any], Row]],
) -> Choice:
    """The choice for one method in one setting, whose task may have another metric than other settings."""
    metric = _metric(by, [row for _, row in rows], f"{method}, {said(setting)}" if setting else method)
    tried = tuple(_tried(fields, row, metric) for fields, row in rows)
    return Choice(variant, student, method, setting, metric, tried, _best(metric, tried))


def as_changes(chosen: Sequence[Choice]) -> Choices:
    """The chosen fields, for the cells of the study."""
    return {choice_key(each.variant, each.student, each.setting): each.fields for each in chosen if each.fields}


def _metric(given: str | None, rows: Sequence[Row], where: str) -> str:
    measured = dict.fromkeys(name for row in rows for name in row.values)
    known = [name for name in measured if not name.startswith(NOT_COMPARED)]
    if given is not None and known and given not in known:
        raise ValueError(f"choose.by is {given!r}, which was not measured for {where}; there are {', '.join(known)}")
    return given or next(iter(known), "the metric of the task")


def _tried(fields: Mapping[str, Any], row: Row, metric: str) -> Tried:
    values = row.values.get(metric, (None,) * len(row.seeds))
    known = tuple(value for value in values if value is not None)
    return Tried(fields, known, len(row.seeds) + len(row.failed), _counted(row, metric))


def _counted(row: Row, metric: str) -> int | None:
    """The number of held-out rows behind a measure, or of pairs if it is an accuracy of interventions."""
    _, at, sites = metric.partition(" at ")
    if at:
        pairs = row.mean(f"{PAIRS}{sites}")
        return None if pairs is None else round(pairs)
    return None if " on " in metric else row.heldout_rows


def _best(metric: str, tried: Sequence[Tried]) -> Mapping[str, Any] | None:
    """The fields of the best setting that has a result of every seed, the first of equals."""
    sign = -1 if metric.partition(" on ")[0] in LESS_IS_BETTER else 1
    complete = [(each, sign * (mean(each.values) or 0.0)) for each in tried if each.is_complete]
    return max(complete, key=lambda one: one[1])[0].fields if complete else None
