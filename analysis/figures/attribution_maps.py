"""Figures of the attribution maps of one text, layer by layer, and of the agreement of students with their teacher."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import CHANCE, DIFFERENCE_MAP, FAINT, INK, MUTED, student_colours, styled
from causalkd.attribution.maps import AttributionMap
from causalkd.reporting.summary import mean
from causalkd.verification.results.attribution import AgreementRow, AttributionResults, Estimate
from causalkd.verification.statistics.aggregate import mean_over_seeds

STRONGEST = 0.4
"""The share of an attribution at which a colour has its full strength: most are small, one token's may be
everything."""
_CELL = (0.34, 0.2)  # inches
_MEASURES = {
    "cosine": "cosine (−1 to 1)",
    "spearman": "Spearman correlation (−1 to 1)",
    "overlap": "overlap of top tokens (share)",
}


@styled
def attribution_layers(
    teacher: Sequence[AttributionMap], student: Sequence[AttributionMap], text: int, name: str = "student"
) -> Figure:
    """The maps of one text: tokens against layers, the teacher above the student, a pair of panels for each view.

    A layer's scores are divided by the sum of their magnitudes, so that layers and models compare: what is shown is the
    signed share of the layer's attribution. Blue is for the view, red against it.

    Args:
        teacher: The teacher's maps from the embedding's output to that of the last block, as `load_maps` gives them.
        student: The student's.
        text: Number of the text.
        name: The student's name.

    Raises:
        ValueError: There is no such text, or the models have other texts.
    """
    first = teacher[0]
    _check_text(first, student[0], text)
    here = first.mask[text].nonzero()[:, 0]
    words = [first.tokens[text][position] for position in here.tolist()]
    depths, views = (len(teacher), len(student)), len(first.views)
    size = (_CELL[0] * len(words) + 2.3, views * (_CELL[1] * sum(depths) + 1.3) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(2 * views, 1, squeeze=False, sharex=True, height_ratios=depths * views)[:, 0]
    shades = ScalarMappable(Normalize(-STRONGEST, STRONGEST), matplotlib.colormaps[DIFFERENCE_MAP])
    for view in range(views):
        for ax, maps, who in zip(panels[2 * view : 2 * view + 2], (teacher, student), ("teacher", name), strict=True):
            rows = np.stack([signed_shares(each.scores[view, text, here].double().numpy()) for each in maps])
            ax.imshow(rows, aspect="auto", cmap=shades.cmap, norm=shades.norm, interpolation="nearest")
            ax.set_yticks(
                range(len(maps)), ["embedding", *(f"block {layer}" for layer in range(len(maps) - 1))], fontsize=7
            )
            ax.set_ylabel(f"{who}\nlayer")
            ax.tick_params(length=0)
        panels[2 * view].set_title(f"view: {first.views[view][text]}", color=INK, loc="left")
        panels[2 * view + 1].set_xticks(range(len(words)), words, rotation=90, fontsize=8)
        panels[2 * view + 1].tick_params(labelbottom=True)
    panels[-1].set_xlabel(f"token of text {text} (n = {len(words)})")
    bar = figure.colorbar(
        shades,
        ax=panels.tolist(),
        label="signed share of the layer's attribution",
        fraction=0.04,
        pad=0.02,
        extend="both",
    )
    bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


@styled
def agreement_by_layer(results: AttributionResults) -> Figure:
    """Three measures of agreement with the teacher at each of the students' depths.

    A thick line is the mean over a student's seeds, a point one seed with its 95 % interval over texts. Beside them
    are the scores of a random map, and of the maps of a student that was never trained.

    Raises:
        ValueError: No student was compared.
    """
    rows = results.agreement
    if not rows:
        raise ValueError("the results compare no student with the teacher; run `causalkd attribute` on a run with one")
    names = list(dict.fromkeys(row.student for row in rows))
    colours = student_colours(names)
    figure = Figure(figsize=(9.6, 3.5), layout="constrained")
    for ax, (measure, title) in zip(figure.subplots(1, 3), _MEASURES.items(), strict=True):
        for number, name in enumerate(names):
            shift = 0.09 * (number - (len(names) - 1) / 2)
            _draw_student(ax, [row for row in rows if row.student == name], measure, colours[name], shift)
        _draw_chance(ax, rows, measure)
        _name_axes(ax, rows, measure, title)
    figure.legend(handles=_legend(names, colours), loc="outside lower center", ncols=min(len(names) + 2, 6), fontsize=8)
    return figure


def signed_shares(scores: Float[np.ndarray, "pos"]) -> Float[np.ndarray, "pos"]:
    """Scores divided by the sum of their magnitudes; zeros stay zeros."""
    total = np.abs(scores).sum()
    return scores / total if total > 0 else scores


def _check_text(teacher: AttributionMap, student: AttributionMap, text: int) -> None:
    if not 0 <= text < len(teacher.mask):
        raise ValueError(f"there is no text {text}; the maps have texts 0–{len(teacher.mask) - 1}")
    if teacher.tokens[text] != student.tokens[text]:
        raise ValueError(f"text {text} is a different text for the student; compare maps that were made together")


def _draw_student(ax: Axes, rows: Sequence[AgreementRow], measure: str, colour: str, shift: float) -> None:
    layers = sorted({row.layer for row in rows})
    real = [row for row in rows if row.baseline == "measured"]
    for row in real:
        found = _of(row, measure)
        if found.mean is not None and found.low is not None and found.high is not None:
            x = row.layer + shift
            ax.plot([x, x], [found.low, found.high], color=colour, linewidth=1, alpha=0.45)
            ax.plot([x], [found.mean], marker="o", markersize=3, color=colour)
    means = [mean_over_seeds([_of(row, measure).mean for row in real if row.layer == layer]) for layer in layers]
    ax.plot([layer + shift for layer in layers], _known(means), color=colour, linewidth=1.8)


def _draw_chance(ax: Axes, rows: Sequence[AgreementRow], measure: str) -> None:
    layers = sorted({row.layer for row in rows})
    for baseline, colour, style in (("random_map", CHANCE, "-"), ("untrained_student", MUTED, "--")):
        chosen = [row for row in rows if row.baseline == baseline]
        means = [mean(_of(row, measure).mean for row in chosen if row.layer == layer) for layer in layers]
        ax.plot(layers, _known(means), color=colour, linestyle=style, linewidth=1.2, zorder=1)


def _name_axes(ax: Axes, rows: Sequence[AgreementRow], measure: str, title: str) -> None:
    layers = sorted({row.layer for row in rows})
    ax.set_xticks(layers, ["embedding", *(f"block {layer - 1}" for layer in layers[1:])], rotation=30, ha="right")
    ax.set_xlabel("student layer (its output)")
    ax.set_ylabel(title)
    counted = [_of(row, measure).n for row in rows if row.baseline == "measured"]
    few, most = min(counted), max(counted)
    ax.set_title(f"n = {most} texts" if few == most else f"n = {few}–{most} texts", color=INK)
    ax.grid(axis="y", color=FAINT, linewidth=0.8)
    ax.set_axisbelow(True)


def _legend(names: Sequence[str], colours: dict[str, str]) -> list[Line2D]:
    students = [Line2D([], [], color=colours[name], marker="o", markersize=3, label=name) for name in names]
    return [
        *students,
        Line2D([], [], color=CHANCE, label="random map (chance)"),
        Line2D([], [], color=MUTED, linestyle="--", label="untrained student"),
    ]


def _of(row: AgreementRow, measure: str) -> Estimate:
    if measure == "overlap" and row.overlap_chance == 1:
        return Estimate(None, None, None, 0)  # all tokens that have a score are top tokens, in any map
    return {"cosine": row.cosine, "spearman": row.spearman, "overlap": row.overlap}[measure]


def _known(values: Sequence[float | None]) -> list[float]:
    return [np.nan if value is None else value for value in values]
