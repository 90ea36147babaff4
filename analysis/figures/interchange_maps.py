"""Heat maps of interchange accuracy: the teacher's layers against the student's, one panel per student."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import CenteredNorm, Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from analysis.figures.grids import Find, Grid, find_grids
from analysis.figures.style import (
    CHANCE,
    DIFFERENCE_MAP,
    FAINT,
    INK,
    MUTED,
    OUTLINE,
    SHARE_MAP,
    readable_on,
    styled,
    tip,
)
from causalkd.reporting.short_names import short_names
from causalkd.reporting.summary import mean
from causalkd.verification.results.baselines import BASELINES
from causalkd.verification.results.interchange_rows import InterchangeRow, Measure
from causalkd.verification.results.report import VerificationReport

_CELL = (0.62, 0.46)  # inches
_NAMES = {"iia": "IIA", "iia_effective": "effective IIA"}
_GUESS = BASELINES["majority_class"].title
_OF = {"iia": "share of predictions", "iia_effective": "share of effective predictions"}


@styled
def interchange_maps(
    report: VerificationReport,
    measure: Measure = "iia_effective",
    *,
    above_baseline: bool = False,
    find: Find = find_grids,
) -> Figure:
    """The accuracy of every teacher layer against every student layer, for each student's first seed.

    Students are side by side, with one row of panels for each choice of positions. Beside each
    teacher layer are the number of pairs that count there and the score of always guessing the majority class.

    Args:
        report: The report with the numbers.
        measure: Over all pairs, or over the effective ones.
        above_baseline: Whether to show the accuracy minus that of the best baseline at the same sites.
        find: The function that finds the grids: `find_grids` for layers, `find_heads` for heads.

    Raises:
        ValueError: The report holds no grid.
    """
    students = {student.name: student.seed for student in reversed(report.students)}  # the first seed stays
    columns = [find(report, name, students[name]) for name in report.names]
    rows = min(len(grids) for grids in columns) if columns else 0
    if not rows:
        raise ValueError("the report holds no grid of layers, only single pairs; verify a component to get one")
    panels = [[grids[row] for grids in columns] for row in range(rows)]
    figure = Figure(figsize=_size(panels), layout="constrained")
    axes = figure.subplots(rows, len(report.names), squeeze=False)
    every = [grid for row in panels for grid in row]
    shades = _shades(every, measure, above_baseline)
    shown = short_names(report.names)
    for line, grids in zip(axes, panels, strict=True):
        for ax, grid, name in zip(line, grids, report.names, strict=True):
            _draw(ax, grid, measure, shades, above_baseline)
            where = f"\npositions of {grid.positions!r}" if rows > 1 else ""
            ax.set_title(f"{shown[name]}\nseed {students[name]}{where}", color=INK)
            ax.set_xlabel(grid.axes[1])
        _name_teacher_layers(line[0], grids[0])
        _count_pairs(line[-1], grids[-1], measure)
    level = 0.0 if above_baseline else _chance(every, measure)
    _colour_bar(figure, axes.ravel().tolist(), shades, level, measure, above_baseline)
    named = "best baseline" if above_baseline else f"{_GUESS} (mean {level:.2f})" if level else None
    _legend(figure, every, measure, named)
    return figure


def _size(panels: Sequence[Sequence[Grid]]) -> tuple[float, float]:
    width = sum(max(_CELL[0] * len(grid.student_layers), 1.9) + 0.3 for grid in panels[0])
    height = sum(_CELL[1] * len(row[0].teacher_layers) + 0.75 for row in panels)
    return width + 2.2, height + 0.55


def _shades(grids: list[Grid], measure: Measure, above_baseline: bool) -> ScalarMappable:
    if not above_baseline:
        return ScalarMappable(Normalize(0, 1), matplotlib.colormaps[SHARE_MAP])
    values = [
        grid.above_baseline(t, s, measure) for grid in grids for t, s, baseline in grid.cells if baseline == "measured"
    ]
    reach = max([abs(value) for value in values if value is not None], default=0)
    return ScalarMappable(CenteredNorm(0, 1.2 * max(reach, 0.1)), matplotlib.colormaps[DIFFERENCE_MAP])


def _draw(ax: Axes, grid: Grid, measure: Measure, shades: ScalarMappable, above_baseline: bool) -> None:
    for x, student_layer in enumerate(grid.student_layers):
        for y, teacher_layer in enumerate(grid.teacher_layers):
            row = grid.cells.get((teacher_layer, student_layer, "measured"))
            if row is None:
                continue
            compute = grid.above_baseline if above_baseline else grid.value
            _draw_cell(ax, x, y, row, compute(teacher_layer, student_layer, measure), shades, above_baseline)
    for x, student_layer in enumerate(grid.student_layers):  # on top, so that no neighbour covers an outline
        for y, teacher_layer in enumerate(grid.teacher_layers):
            row = grid.cells.get((teacher_layer, student_layer, "measured"))
            if row is not None and row.aligned:
                ax.add_patch(
                    _square(x, y, fill=False, edgecolor=OUTLINE, linewidth=3, inset=0.0, zorder=3, clip_on=False)
                )
    ax.set_xlim(-0.5, len(grid.student_layers) - 0.5)
    ax.set_ylim(-0.5, len(grid.teacher_layers) - 0.5)
    ax.set_xticks(range(len(grid.student_layers)), [str(layer) for layer in grid.student_layers])
    ax.set_yticks(range(len(grid.teacher_layers)), [])
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _draw_cell(
    ax: Axes, x: int, y: int, row: InterchangeRow, value: float | None, shades: ScalarMappable, signed: bool
) -> None:
    if not row.reachable:
        ax.add_patch(_square(x, y, facecolor="white", edgecolor=MUTED, linewidth=0, hatch="////"))
        return
    if value is None:
        ax.add_patch(_square(x, y, facecolor=FAINT, linewidth=0))
        ax.text(x, y, "–", ha="center", va="center", color=MUTED)
        return
    colour = to_rgba(shades.to_rgba(np.array([value]))[0])
    ax.add_patch(_square(x, y, facecolor=colour, linewidth=0, gid=tip(_exactly(row))))
    shown = f"{value:+.2f}" if signed and abs(value) >= 0.005 else f"{abs(value):.2f}"
    ax.text(x, y, shown.replace("-", "−"), ha="center", va="center", color=readable_on(colour))


def _exactly(row: InterchangeRow) -> str:
    """The exact numbers of a cell."""
    numbers = f"effective IIA {_share(row.iia_effective)} on {row.effective_pairs} pairs, IIA {_share(row.iia)}"
    return f"{row.student}, teacher {row.teacher_layer}, student {row.student_layer}: {numbers} on {row.pairs}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _square(x: int, y: int, inset: float = 0.03, **style: object) -> Rectangle:
    side = 1 - 2 * inset
    return Rectangle((x - side / 2, y - side / 2), side, side, **style)  # type: ignore[arg-type]


def _name_teacher_layers(ax: Axes, grid: Grid) -> None:
    ax.set_yticks(range(len(grid.teacher_layers)), [str(layer) for layer in grid.teacher_layers])
    ax.set_ylabel(grid.axes[0])


def _count_pairs(ax: Axes, grid: Grid, measure: Measure) -> None:
    """Writes beside each teacher layer, which alone decides them, the number of pairs and the majority's score."""
    labels = []
    for layer in grid.teacher_layers:
        row = next(row for (t, _, baseline), row in grid.cells.items() if t == layer and baseline == "measured")
        guess = mean(grid.value(layer, s, measure, "majority_class") for s in grid.student_layers)
        counted = row.pairs if measure == "iia" else row.effective_pairs
        labels.append(f"n = {counted}" + ("" if guess is None else f"\n{_GUESS} {guess:.2f}"))
    right = ax.secondary_yaxis("right")
    right.set_yticks(range(len(labels)), labels, fontsize=8, color=MUTED)
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)


def _colour_bar(
    figure: Figure,
    axes: list[Axes],
    shades: ScalarMappable,
    level: float | None,
    measure: Measure,
    above_baseline: bool,
) -> None:
    title = f"{_NAMES[measure]} minus best baseline" if above_baseline else f"{_NAMES[measure]} ({_OF[measure]})"
    bar = figure.colorbar(shades, ax=axes, label=title, fraction=0.06, pad=0.02)
    bar.outline.set_visible(False)  # type: ignore[operator]
    if level is not None:
        bar.ax.axhline(level, color=CHANCE, linewidth=2)


def _chance(grids: list[Grid], measure: Measure) -> float | None:
    """The mean score of the majority class over reachable sites."""
    cells = [(grid, key) for grid in grids for key, row in grid.cells.items() if key[2] == "measured" and row.reachable]
    return mean(grid.value(t, s, measure, "majority_class") for grid, (t, s, _) in cells)


def _legend(figure: Figure, grids: list[Grid], measure: Measure, level: str | None) -> None:
    rows = [row for grid in grids for (_, _, baseline), row in grid.cells.items() if baseline == "measured"]
    entries: list[Patch | Line2D] = []
    if any(row.aligned for row in rows):
        entries.append(
            Patch(facecolor=matplotlib.colormaps[SHARE_MAP](0.0), edgecolor=OUTLINE, linewidth=2, label="aligned site")
        )
    if any(not row.reachable for row in rows):
        style = {"facecolor": "white", "edgecolor": MUTED, "hatch": "////", "linewidth": 0}
        entries.append(Patch(**style, label="cannot reach the output"))
    blank = [row for row in rows if row.reachable and getattr(row, measure) is None]
    if blank:
        why = "no finite number" if any(row.effective_pairs for row in blank) else "no effective pair"
        entries.append(Patch(facecolor=FAINT, label=why))
    if level is not None:
        entries.append(Line2D([], [], color=CHANCE, linewidth=2, label=level))
    columns = min(len(entries), max(int(figure.get_figwidth() / 2.1), 1))
    figure.legend(handles=entries, loc="outside lower center", ncols=max(columns, 1), fontsize=8)
