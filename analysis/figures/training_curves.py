"""Loss curves: every unweighted term of the log, over training steps."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import FAINT, student_colours, styled
from causalkd.recipe.objectives import OBJECTIVES

Metrics = Sequence[Mapping[str, object]]
"""Rows of a run's metrics file: `student`, `seed`, `step`, `loss`, and one number a term, under `term/NAME`."""

_KEYS = ("student", "seed", "step")
_TERM = "term/"
_LOSS = "loss"
_ACCURACY = "iia_effective/"


def read_metrics(path: str | Path) -> list[dict[str, object]]:
    """The rows of a metrics file, one JSON object a line.

    Raises:
        ValueError: There is no such file, or a line is no object with student, seed and step; names the line.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no metrics file at {path}; `causalkd distill` writes one into the run's folder")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number} is no JSON ({error}); the file may have been cut off") from None
        if not isinstance(row, dict) or any(key not in row for key in _KEYS):
            raise ValueError(f"{path}, line {number} lacks one of {', '.join(_KEYS)}; it is {line[:80]!r}")
        rows.append(row)
    return rows


def terms(metrics: Metrics) -> list[str]:
    """The keys to draw: every term in the order in which they first come, then the loss, then accuracies."""
    logged = dict.fromkeys(key for row in metrics for key, value in row.items() if isinstance(value, int | float))
    return [key for start in (_TERM, _LOSS, _ACCURACY) for key in logged if key.startswith(start)]


@styled
def training_curves(metrics: Metrics, unit: str = "nats") -> Figure:
    """One panel per term, one colour per student: each seed a thin line, the mean over seeds a thick one.

    Args:
        metrics: Rows of the log.
        unit: Of the terms that are declared to be in nats, such as another one of a regression. Others have the unit
            that their objective declares, or none: one whose settings choose it, and a weighted sum.

    Raises:
        ValueError: The log holds no term.
    """
    names = terms(metrics)
    if not names:
        raise ValueError("the metrics hold no term to draw; a row has student, seed, step, loss and term/NAME for each")
    columns = 2 if len(names) == 4 else min(len(names), 3)
    lines = math.ceil(len(names) / columns)
    figure = Figure(figsize=(3.3 * columns, 2.3 * lines + 0.4), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel().tolist()
    colours = student_colours(str(row["student"]) for row in metrics)
    for ax, name in zip(axes, names, strict=False):
        _draw_term(ax, metrics, name, colours, unit)
    for ax in axes[len(names) :]:
        ax.set_visible(False)
    handles = {line.get_label(): line for ax in axes for line in ax.get_lines() if line.get_label() in colours}
    order = [name for name in colours if name in handles]
    figure.legend([handles[name] for name in order], order, loc="outside upper center", ncols=max(len(order), 1))
    return figure


def _draw_term(ax: Axes, metrics: Metrics, term: str, colours: Mapping[str, str], unit: str) -> None:
    for student, colour in colours.items():
        rows = [row for row in metrics if row["student"] == student and isinstance(row.get(term), int | float)]
        curves: dict[object, dict[int, float]] = {}
        for row in rows:
            curves.setdefault(row["seed"], {})[int(str(row["step"]))] = float(str(row[term]))
        for curve in curves.values():
            if len(curves) > 1:
                ax.plot(list(curve), list(curve.values()), color=colour, linewidth=0.6, alpha=0.45)
        shared = sorted(set.intersection(*map(set, curves.values()))) if curves else []
        if shared:
            average = [sum(curve[step] for curve in curves.values()) / len(curves) for step in shared]
            ax.plot(shared, average, color=colour, linewidth=1.6, label=student)
    _name_axes(ax, term, unit)


def _name_axes(ax: Axes, term: str, unit: str) -> None:
    name = term.removeprefix(_TERM)
    ax.set_title("loss (weighted sum)" if term == _LOSS else name.replace(_ACCURACY, "effective IIA, "))
    ax.set_xlabel("training step")
    if term.startswith(_ACCURACY):
        ax.set_ylabel("share of pairs")
        ax.set_ylim(0, 1)
    else:
        declared = OBJECTIVES[name].unit if name in OBJECTIVES else ""
        ax.set_ylabel(unit if declared == "nats" else declared)
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    ax.grid(axis="y", color=FAINT, linewidth=0.8)
    ax.set_axisbelow(True)
