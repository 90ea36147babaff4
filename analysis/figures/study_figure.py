"""The figure of a study: every measure in a panel of its own, every seed a point, means joined or marked.

A best baseline is a dashed line in the panel of what it is the baseline of.
"""

from collections.abc import Sequence
from math import nan

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import CHANCE, INK, MUTED, student_colours, styled
from causalkd.reporting.study_measures import BASELINE, PAIRS, TEACHER
from causalkd.reporting.study_types import Row, StudyTable

_MOST_PANELS = 6
_PANEL = (4.2, 2.6)
_DASHED = (0, (3, 2))


@styled
def study_figure(table: StudyTable, measures: Sequence[str] = ()) -> Figure:
    """Draws a panel for each measure: over the values of the grid's one field, or over methods where there is no one.

    Args:
        table: What a study found.
        measures: Which measures; the first six of the students' if not given.

    Raises:
        ValueError: The study has no such measure, or no cell of it has a result.
    """
    chosen = list(measures) or [name for name in table.measures if not name.startswith((TEACHER, PAIRS))][:_MOST_PANELS]
    unknown = [name for name in chosen if name not in table.measures]
    if unknown or not chosen:
        raise ValueError(f"there are no measures {unknown}; the study has {', '.join(table.measures) or 'no result'}")
    marks = {_marked_in(name): name for name in chosen if _marked_in(name) in chosen}
    chosen = [name for name in chosen if name not in marks.values()]
    columns = min(len(chosen), 3)
    lines = -(-len(chosen) // columns)
    methods = list(dict.fromkeys(row.method for row in table.rows))
    fields = list(table.rows[0].setting)
    height = _PANEL[1] if len(fields) == 1 else 0.9 + 0.28 * len(table.rows)
    figure = Figure(figsize=(_PANEL[0] * columns, height * lines), layout="constrained")
    for number, measure in enumerate(chosen):
        axes = figure.add_subplot(lines, columns, number + 1)
        if len(fields) == 1:
            _over_values(axes, table, measure, marks.get(measure), fields[0], methods)
        else:
            _over_methods(axes, table, measure, methods, with_names=number % columns == 0)
            _mark(axes, table, marks.get(measure))
    if len(fields) == 1:
        named = figure.axes[0].get_legend_handles_labels()
        figure.legend(*named, loc="outside lower center", ncols=3 * columns, fontsize=8)
    return figure


def _over_values(
    axes: Axes, table: StudyTable, measure: str, baseline: str | None, field: str, methods: Sequence[str]
) -> None:
    """Each method's means, joined, and its best baselines as a dashed line of the same colour."""
    values = list(dict.fromkeys(str(row.setting[field]) for row in table.rows))
    colours = student_colours(methods)
    for number, method in enumerate(methods):
        rows = [row for row in table.rows if row.method == method]
        shift = 0.08 * (number - (len(methods) - 1) / 2)
        places = [values.index(str(row.setting[field])) + shift for row in rows]
        axes.plot(places, _means(rows, measure), color=colours[method], label=method)
        if baseline is not None:
            axes.plot(places, _means(rows, baseline), color=colours[method], linewidth=1, linestyle=_DASHED)
        for x, row in zip(places, rows, strict=True):
            _points(axes, row, measure, x, colours[method], upright=True)
    axes.set_xticks(range(len(values)), values)
    axes.set_xlabel(field)
    axes.set_ylabel(measure)


def _means(rows: Sequence[Row], measure: str) -> list[float]:
    """The means of a measure; NaN, which is not drawn, where a row has none."""
    return [nan if (middle := row.mean(measure)) is None else middle for row in rows]


def _over_methods(axes: Axes, table: StudyTable, measure: str, methods: Sequence[str], with_names: bool) -> None:
    colours = student_colours(methods)
    names = []
    for y, row in enumerate(table.rows):
        names.append(", ".join([row.method, *(str(value) for value in row.setting.values())]))
        _points(axes, row, measure, y, colours[row.method], upright=False)
        middle = row.mean(measure)
        if middle is not None:
            axes.plot([middle, middle], [y - 0.3, y + 0.3], color=INK, linewidth=1.4)
    axes.set_yticks(range(len(names)), names if with_names else [""] * len(names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(measure)
    axes.grid(axis="x", color=MUTED, alpha=0.25)


def _marked_in(measure: str) -> str:
    """The measure in whose panel a best baseline is a mark; empty for every other measure."""
    return f"effective IIA at {measure.removeprefix(BASELINE)}" if measure.startswith(BASELINE) else ""


def _mark(axes: Axes, table: StudyTable, measure: str | None) -> None:
    """A dashed line in every row at its best baseline."""
    for y, row in enumerate(table.rows if measure else ()):
        middle = row.mean(measure or "")
        if middle is not None:
            axes.plot([middle, middle], [y - 0.4, y + 0.4], color=CHANCE, linewidth=1.4, linestyle=_DASHED)


def _points(axes: Axes, row: Row, measure: str, at: int | float, colour: str, upright: bool) -> None:
    """Every seed as a point."""
    found = [value for value in row.values.get(measure, ()) if value is not None]
    places = [at] * len(found)
    axes.scatter(*((places, found) if upright else (found, places)), color=colour, s=16, alpha=0.7, linewidths=0)
