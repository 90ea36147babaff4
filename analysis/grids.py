"""The grids of a report: for each student the teacher's layers against the student's, under every control."""

from dataclasses import dataclass

from causalkd.verification.report import GRID, Control, InterchangeRow, Measure, VerificationReport
from causalkd.verification.summary import EXPLANATIONS, rows_of


@dataclass(frozen=True)
class Grid:
    """The cells of one student at one choice of positions.

    Attributes:
        positions: Name of the pair whose positions are exchanged.
        component: What is exchanged in every layer.
        teacher_layers: Ascending.
        student_layers: Ascending.
        cells: Rows by (teacher layer, student layer, control).
    """

    positions: str
    component: str
    teacher_layers: tuple[int, ...]
    student_layers: tuple[int, ...]
    cells: dict[tuple[int, int, Control], InterchangeRow]

    def value(
        self, teacher_layer: int, student_layer: int, measure: Measure, control: Control = "none"
    ) -> float | None:
        """One accuracy; None where the cell is absent or counts nothing."""
        row = self.cells.get((teacher_layer, student_layer, control))
        if row is None:
            return None
        return row.iia if measure == "iia" else row.iia_effective

    def above_control(self, teacher_layer: int, student_layer: int, measure: Measure) -> float | None:
        """The accuracy minus that of the best control at the same cell."""
        value = self.value(teacher_layer, student_layer, measure)
        controls = [self.value(teacher_layer, student_layer, measure, control) for control in EXPLANATIONS]
        known = [control for control in controls if control is not None]
        return None if value is None or not known else value - max(known)


def find_grids(report: VerificationReport, student: str, seed: int | None) -> list[Grid]:
    """The grids of one student, in the order of the report; empty where only single pairs were measured."""
    whole = [row for row in rows_of(report, student, seed) if row.unit == "pos" and row.head is None]
    named = dict.fromkeys((row.pair, row.component) for row in whole if row.pair.startswith(GRID))
    return [_grid(name, component, [row for row in whole if row.component == component]) for name, component in named]


def _grid(name: str, component: str, rows: list[InterchangeRow]) -> Grid:
    own, positions = [row for row in rows if row.pair == name], name.removeprefix(GRID)
    teacher_layers = tuple(sorted({row.teacher_layer for row in rows}))
    student_layers = tuple(sorted({row.student_layer for row in rows}))
    declared = [row for row in rows if not row.pair.startswith(GRID)]
    declared.sort(key=lambda row: row.pair == positions)  # of two pairs at one cell, the grid's own is written last
    cells: dict[tuple[int, int, Control], InterchangeRow] = {}
    for row in (*declared, *own):
        cells[row.teacher_layer, row.student_layer, row.control] = row
    return Grid(positions, component, teacher_layers, student_layers, cells)
