"""The measures that a study takes from the report of a cell, by name, and the costs of the training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from causalkd.recipe.study import Cell, Study
from causalkd.reporting.summary import best_baseline, rows_of
from causalkd.verification.results.report import InterchangeRow, VerificationReport
from causalkd.verification.statistics.aggregate import mean

Measures = dict[str, float | None]
TEACHER = "teacher's "
"""The beginning of the names of the teacher's measures, which are in no difference."""
BASELINE = "best baseline at "
"""The beginning of the names of baselines, which are in no difference either."""
PAIRS = "effective pairs at "
"""The beginning of the names of the mean number of pairs per site, which are in no difference either."""
NOT_COMPARED = (TEACHER, BASELINE, PAIRS)
ALIGNED = "declared pairs"
"""The name of the site pairs that the alignment of a cell's own recipe declares."""
OTHER = "other sites"
"""The name of the grid's sites that no declared pair touches, so that no student could be trained on them."""
COSTS = ("block_forwards", "steps")
"""Names of the costs of a training that do not depend on the machine."""


@dataclass(frozen=True)
class CellResult:
    """The result of a cell."""

    cell: Cell
    report: VerificationReport | None
    """None if it failed."""
    evaluations: Mapping[str, Mapping[str, float | None]]
    """Scores on other tasks, by model."""
    elsewhere: Mapping[str, VerificationReport]
    """The reports of the measurements at other alignments, by their names in the study."""
    rows: Mapping[tuple[str, str], tuple[float, ...]]
    """The score of each row of another task, by student and by the measure that is their mean."""
    fault: str | None
    """The reason if there is no report."""


def measures(study: Study, result: CellResult, name: str) -> Measures:
    """All measures of one student of a finished cell, by name."""
    report, seed = result.report, result.cell.seed
    assert report is not None
    student = next(each for each in report.students if each.name == name)
    found: Measures = {report.teacher.metric: student.task_metric, **student.metrics, "agreement": student.agreement}
    declared, other = _own_sites(report, name, seed)
    found |= _at_sites(declared, ALIGNED) | _at_sites(other, OTHER)
    for alignment in study.measure_at:
        # The study names it, so it has an entry, which is None if no intervention there is effective.
        elsewhere, _ = _own_sites(result.elsewhere[alignment], name, seed)
        found |= {f"effective IIA at {alignment}": None, **_at_sites(elsewhere, alignment)}
    found |= result.evaluations.get(name, {})
    found |= {f"{TEACHER}{report.teacher.metric}": report.teacher.task_metric}
    return found | {f"{TEACHER}{key}": value for key, value in result.evaluations.get("teacher", {}).items()}


def _own_sites(report: VerificationReport, name: str, seed: int) -> tuple[list[InterchangeRow], list[InterchangeRow]]:
    """The rows of one student at the declared pairs, and at the sites that none of them touches."""
    rows = rows_of(report, name, seed)
    return [row for row in rows if row.aligned], [row for row in rows if row.kind == "other"]


def _at_sites(rows: Sequence[InterchangeRow], sites: str) -> Measures:
    """Mean effective IIA over the sites that reach the output, its baseline, and its mean number of pairs; a study also
    shows means of few pairs, which a run's own page leaves out.
    """
    rows = [row for row in rows if row.reachable]
    measured = [row for row in rows if row.baseline == "measured" and row.iia_effective is not None]
    found = mean(row.iia_effective for row in measured)
    if found is None:
        return {}
    pairs = mean(float(row.effective_pairs) for row in measured)
    return {f"effective IIA at {sites}": found, f"{BASELINE}{sites}": best_baseline(rows), f"{PAIRS}{sites}": pairs}


def heldout_rows(result: CellResult, name: str) -> int | None:
    """The number of rows that the metric of the task was measured on, for one student of a finished cell."""
    assert result.report is not None
    return next((each.rows for each in result.report.task_scores if each.model == name), None)


def costs(result: CellResult, name: str) -> Measures:
    """The costs of training one student of a finished cell."""
    assert result.report is not None
    student = next(each for each in result.report.students if each.name == name)
    found = {cost: getattr(student, cost) for cost in COSTS}
    return {cost: None if value is None else float(value) for cost, value in found.items()}
