"""The grids of a report: for each student the teacher's layers or heads against its own, under every baseline."""

from collections.abc import Callable
from dataclasses import dataclass

from causalkd.alignment.spec import GRID
from causalkd.reporting.summary import rows_of
from causalkd.verification.results.baselines import BaselineName, explaining
from causalkd.verification.results.interchange_rows import InterchangeRow, Measure
from causalkd.verification.results.report import VerificationReport


@dataclass(frozen=True)
class Grid:
    """The grid of one student at one choice of positions.

    Attributes:
        positions: Name of the pair whose positions are used.
        axes: The names of the teacher's and the student's axis: `layer (block_output)`, or heads.
        teacher_layers: Ascending.
        student_layers: Ascending.
        cells: Rows by (teacher layer, student layer, baseline).
    """

    positions: str
    axes: tuple[str, str]
    teacher_layers: tuple[int, ...]
    student_layers: tuple[int, ...]
    cells: dict[tuple[int, int, BaselineName], InterchangeRow]

    def value(
        self, teacher_layer: int, student_layer: int, measure: Measure, baseline: BaselineName = "measured"
    ) -> float | None:
        """One accuracy; None where the cell is absent or counts nothing."""
        row = self.cells.get((teacher_layer, student_layer, baseline))
        if row is None:
            return None
        return row.iia if measure == "iia" else row.iia_effective

    def above_baseline(self, teacher_layer: int, student_layer: int, measure: Measure) -> float | None:
        """The accuracy minus that of the best baseline at the same sites."""
        value = self.value(teacher_layer, student_layer, measure)
        baselines = [self.value(teacher_layer, student_layer, measure, baseline) for baseline in explaining()]
        known = [baseline for baseline in baselines if baseline is not None]
        return None if value is None or not known else value - max(known)


Find = Callable[[VerificationReport, str, int | None], list[Grid]]
"""Finds the grids of one student."""


def find_grids(report: VerificationReport, student: str, seed: int | None) -> list[Grid]:
    """The grids of one student, in the order of the report; empty where only single pairs were measured."""
    whole = [row for row in rows_of(report, student, seed) if row.unit == "pos" and row.head is None]
    named = dict.fromkeys((row.pair, row.component) for row in whole if row.pair.startswith(GRID))
    return [
        _grid(name, [row for row in whole if row.component == component and row.pair in (name, *_alike(report, name))])
        for name, component in named
    ]


def _alike(report: VerificationReport, name: str) -> list[str]:
    """The declared pairs whose positions are those of a grid."""
    policies = report.alignment.policies()
    return [pair for pair, policy in policies.items() if policy == policies.get(name.removeprefix(GRID))]


def find_heads(report: VerificationReport, student: str, seed: int | None) -> list[Grid]:
    """The grids of heads of one student, one for each two layers of a site pair; empty if heads were not compared."""
    found: dict[tuple[str, int, int], list[InterchangeRow]] = {}
    for row in report.heads:
        if (row.student, row.seed) == (student, seed):
            found.setdefault((row.pair, row.teacher_layer, row.student_layer), []).append(row)
    return [_heads(rows) for rows in found.values()]


def _heads(rows: list[InterchangeRow]) -> Grid:
    """The grid of two layers, with heads where others have layers."""
    cells: dict[tuple[int, int, BaselineName], InterchangeRow] = {}
    for row in rows:
        assert row.head is not None and row.student_head is not None
        cells[row.head, row.student_head, row.baseline] = row
    first = rows[0]
    heads = tuple(sorted({t for t, _, _ in cells})), tuple(sorted({s for _, s, _ in cells}))
    axes = (f"teacher head (layer {first.teacher_layer})", f"student head (layer {first.student_layer})")
    return Grid(first.pair, axes, *heads, cells)


def _grid(name: str, rows: list[InterchangeRow]) -> Grid:
    """One grid of the rows at its positions: those of its own name, and of the declared pairs that equal a cell.

    A pair of several sites, or of a part of one, is no cell: it is measured after the grid, which has a row there.
    """
    shown: dict[tuple[int, int], str] = {}
    for row in sorted(rows, key=lambda row: row.pair != name):
        shown.setdefault((row.teacher_layer, row.student_layer), row.pair)
    cells: dict[tuple[int, int, BaselineName], InterchangeRow] = {
        (row.teacher_layer, row.student_layer, row.baseline): row
        for row in rows
        if row.pair == shown[row.teacher_layer, row.student_layer]
    }
    teacher_layers, student_layers = (tuple(sorted(set(layers))) for layers in zip(*shown, strict=True))
    axes = (f"teacher layer ({rows[0].component})", f"student layer ({rows[0].component})")
    return Grid(name.removeprefix(GRID), axes, teacher_layers, student_layers, cells)
