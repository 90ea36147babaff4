"""A row of the benchmark, and where rows come from: each module in `rows/` has `rows(setting) -> list[Row]`."""

import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from tests.benchmarks import rows as folder


@dataclass(frozen=True)
class Row:
    """One measured number beside what it may be, and what it would be if nothing but blocks cost anything."""

    id: str
    value: float
    """Median over the rounds."""
    bar: float | None
    """The most it may be; None where nobody has set one."""
    floor: float | None
    """What the block-forwards alone make of it (`floors.py`); heads and losses are not in it."""
    unit: str
    low: float | None = None
    """Lower quartile over the rounds."""
    high: float | None = None
    cpu: float | None = None
    """The same ratio of the process's CPU time, all threads together."""
    floor_flops: float | None = None
    """What the multiplications of blocks and heads make of it; not a bound, because memory traffic costs too."""


def row_modules() -> dict[str, ModuleType]:
    """The modules that measure rows, by name, in alphabetical order."""
    names = sorted(module.name for module in pkgutil.iter_modules(folder.__path__))
    return {name: import_module(f"{folder.__name__}.{name}") for name in names}


def table(rows: Sequence[Row]) -> str:
    """The rows as text."""
    heads = ("id", "value", "quartiles", "CPU", "bar", "floor", "FLOPs", "unit")
    cells = [heads, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _cells(row: Row) -> tuple[str, ...]:
    spread = "–" if row.low is None or row.high is None else f"{row.low:.3f}–{row.high:.3f}"
    numbers = [_number(each) for each in (row.cpu, row.bar, row.floor, row.floor_flops)]
    return row.id, _number(row.value), spread, *numbers, row.unit


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
