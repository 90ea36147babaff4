"""A line of the table, and the table."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One thing that was measured on a device."""

    check: str
    value: float | None
    """None where this device does not tell."""
    unit: str
    bound: float | None = None
    """The most it may be; None for what is only measured."""
    note: str = ""
    has_failed: bool = False
    """Whether an error kept it from being measured; the note says which."""

    @property
    def is_good(self) -> bool:
        """Whether it was measured, or cannot be here, and keeps its bound; what is not a number keeps none."""
        return not self.has_failed and (self.value is None or self.bound is None or self.value <= self.bound)


def table(lines: Sequence[Line]) -> str:
    """The lines as text."""
    cells = [("check", "value", "bound", "unit", "", "note"), *(_cells(line) for line in lines)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([rows[0], "-" * max(map(len, rows)), *rows[1:]])


def _cells(line: Line) -> tuple[str, ...]:
    verdict = "failed" if not line.is_good else "" if line.bound is None or line.value is None else "ok"
    return line.check, _number(line.value), _number(line.bound), line.unit, verdict, line.note


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
