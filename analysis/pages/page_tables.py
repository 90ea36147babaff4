"""The longer tables of a page: every cell, the task's own causal model, the environment."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from causalkd.verification.results.baselines import BASELINES
from causalkd.verification.results.interchange_rows import InterchangeRow
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.results.rows import GroundTruthRow
from causalkd.verification.results.site_layers import arrow, site_layers, written


def cell_lines(report: VerificationReport) -> list[dict[str, object]]:
    """One line a cell and seed: the measurement, with each baseline's accuracy beside it."""
    baselines: dict[tuple[object, ...], dict[str, float | None]] = {}
    for row in report.interchange:
        baselines.setdefault(_key(row), {})[row.baseline] = row.iia_effective
    found = []
    for row in report.interchange:
        if row.baseline == "measured":
            values = [baselines[_key(row)].get(name) for name in BASELINES]
            teacher, student = map(written, site_layers(report.alignment, row))
            layers = {"teacher_layers": teacher, "student_layers": student}
            found.append({**asdict(row), "kind": row.kind, **layers, "baselines": values})
    return found


def difference_lines(report: VerificationReport, *, between: bool) -> list[dict[str, object]]:
    """One line a difference: those between two students, or those from each student's own baselines."""
    return [
        {**asdict(row), "layers": arrow(report.alignment, row)}
        for row in report.differences
        if (row.student != row.reference) == between
    ]


@dataclass(frozen=True)
class TruthTable:
    """One model against the task's own causal model: a line a variable, a cell a layer."""

    title: str
    layers: tuple[int, ...]
    lines: Mapping[str, tuple[GroundTruthRow, ...]]

    def best(self, row: GroundTruthRow) -> float | None:
        """The highest of a row's baselines."""
        return max((value for value in row.baselines.values() if value is not None), default=None)


def truth_tables(report: VerificationReport) -> list[TruthTable]:
    """A table for each model and each way of drawing positions; of the students the first seed."""
    seeds = {student.name: student.seed for student in reversed(report.students)}
    rows = [row for row in report.ground_truth if row.seed == seeds.get(row.model)]
    tables = []
    for model, pair in dict.fromkeys((row.model, row.pair) for row in rows):
        lines: dict[str, list[GroundTruthRow]] = {}
        for row in rows:
            if (row.model, row.pair) == (model, pair):
                lines.setdefault(row.variable, []).append(row)
        layers = tuple(row.layer for row in next(iter(lines.values())))
        title = f"{model}, positions of {pair!r}"
        tables.append(TruthTable(title, layers, {name: tuple(cells) for name, cells in lines.items()}))
    return tables


def _key(row: InterchangeRow) -> tuple[object, ...]:
    place = (row.pair, row.component, row.unit, row.head, row.teacher_layer, row.student_layer)
    return (row.student, row.seed, *place)


def environment_facts(report: VerificationReport) -> Mapping[str, str]:
    """The environment, as name and value."""
    found = report.environment
    facts = {name: str(value) for name, value in asdict(found).items() if name != "versions"}
    return facts | dict(found.versions)
