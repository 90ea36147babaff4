"""What a study takes from the report of a cell: every measure of a student by name, and what its training cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from causalkd.recipe.study import Cell, Study
from causalkd.reporting.summary import best_baseline, rows_of
from causalkd.verification.results.report import InterchangeRow, VerificationReport
from causalkd.verification.statistics.aggregate import mean

Measures = dict[str, float | None]
TEACHER = "teacher's "
"""Begins the names of what was measured of the teacher, which are in no difference."""
BASELINE = "best baseline at "
"""Begins the names of what accuracies are read beside, which are in no difference either."""
PAIRS = "effective pairs at "
"""Begins the names of how many pairs an accuracy is of, on average over sites; they are in no difference either."""
NOT_COMPARED = (TEACHER, BASELINE, PAIRS)
ALIGNED = "declared pairs"
"""Where the alignment of a cell's own recipe says."""
OTHER = "other sites"
"""Those of a grid that no declared pair touches, so that they are no part of what any student could be trained on."""
COSTS = ("block_forwards", "steps")
"""Names of what a training costs that do not depend on the machine."""


@dataclass(frozen=True)
class CellResult:
    """What came of a cell."""

    cell: Cell
    report: VerificationReport | None
    """None where it failed."""
    evaluations: Mapping[str, Mapping[str, float | None]]
    """Scores on other tasks, by model."""
    elsewhere: Mapping[str, VerificationReport]
    """What was measured at other alignments, by their names in the study."""
    rows: Mapping[tuple[str, str], tuple[float, ...]]
    """The score of each row of another task, by student and by the measure that is their mean."""
    fault: str | None
    """Why there is no report."""


def measures(study: Study, result: CellResult, name: str) -> Measures:
    """What was measured of one student of a finished cell."""
    report, seed = result.report, result.cell.seed
    assert report is not None
    student = next(each for each in report.students if each.name == name)
    found: Measures = {report.teacher.metric: student.task_metric, **student.metrics, "agreement": student.agreement}
    declared, other = _own_sites(report, name, seed)
    found |= _at_sites(declared, ALIGNED) | _at_sites(other, OTHER)
    for place in study.measure_at:
        # Asked for by name: a place where no intervention has an effect that counts is shown to have no figure.
        elsewhere, _ = _own_sites(result.elsewhere[place], name, seed)
        found |= {f"effective IIA at {place}": None, **_at_sites(elsewhere, place)}
    found |= result.evaluations.get(name, {})
    found |= {f"{TEACHER}{report.teacher.metric}": report.teacher.task_metric}
    return found | {f"{TEACHER}{key}": value for key, value in result.evaluations.get("teacher", {}).items()}


def _own_sites(report: VerificationReport, name: str, seed: int) -> tuple[list[InterchangeRow], list[InterchangeRow]]:
    """The rows of one student at the declared pairs, and at the sites that none of them touches."""
    rows = rows_of(report, name, seed)
    return [row for row in rows if row.aligned], [row for row in rows if row.kind == "other"]


def _at_sites(rows: Sequence[InterchangeRow], place: str) -> Measures:
    """Mean effective IIA over the sites that reach the output; its baseline, and of how many pairs it is: of few, a
    study shows the number that a run's own page leaves out.
    """
    rows = [row for row in rows if row.reachable]
    measured = [row for row in rows if row.baseline == "measured" and row.iia_effective is not None]
    found = mean(row.iia_effective for row in measured)
    if found is None:
        return {}
    pairs = mean(float(row.effective_pairs) for row in measured)
    return {f"effective IIA at {place}": found, f"{BASELINE}{place}": best_baseline(rows), f"{PAIRS}{place}": pairs}


def heldout_rows(result: CellResult, name: str) -> int | None:
    """How many rows the metric of the task was measured on for one student of a finished cell."""
    assert result.report is not None
    return next((each.rows for each in result.report.task_scores if each.model == name), None)


def costs(result: CellResult, name: str) -> Measures:
    """What the training of one student of a finished cell cost."""
    assert result.report is not None
    student = next(each for each in result.report.students if each.name == name)
    found = {cost: getattr(student, cost) for cost in COSTS}
    return {cost: None if value is None else float(value) for cost, value in found.items()}
