"""Teacher and student as stacks of layers, the aligned sites joined and coloured by effective IIA: an inline SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
from markupsafe import Markup
from matplotlib.colors import to_hex, to_rgba

from analysis.figures.style import FAINT, INK, MUTED, PAPER, SHARE_MAP, readable_on
from causalkd.reporting.numbers import percent
from causalkd.reporting.short_names import short_name
from causalkd.reporting.summary import best_baseline, mean
from causalkd.verification.results.interchange_rows import InterchangeRow
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.results.site_layers import Layers, named, site_layers
from causalkd.verification.statistics.permutation import FEW_PAIRS

_WIDTH, _TOP, _BOX, _LEFT, _RIGHT = 300.0, 22.0, 110.0, 4.0, 186.0
_HEIGHTS = (150.0, 390.0)
"""The height of the stacks, at least and at most."""
_LAYER = 34.0
_LETTERS = 15


@dataclass(frozen=True)
class Join:
    """The declared pairs of the same layers.

    Attributes:
        layers: The teacher's and the student's.
        value: Mean effective IIA over the seeds and the pairs there; None where too few pairs count, or nothing was
            measured.
        few: Whether too few pairs count.
        reachable: Whether the intervention can reach the output.
        meaning: The exact numbers, for a tooltip.
    """

    layers: tuple[Layers, Layers]
    value: float | None
    few: bool
    reachable: bool
    meaning: str


def joins(report: VerificationReport, student: str) -> list[Join]:
    """The aligned layers of one student."""
    groups: dict[tuple[Layers, Layers], list[InterchangeRow]] = {}
    for row in report.interchange:
        if row.student == student and row.aligned:
            groups.setdefault(site_layers(report.alignment, row), []).append(row)
    found = []
    for layers, here in groups.items():
        measured = [row for row in here if row.baseline == "measured"]
        value = mean(row.iia_effective for row in _counted(measured))
        reachable = any(row.reachable for row in measured)
        few = all(row.effective_pairs < FEW_PAIRS for row in measured if row.reachable)
        found.append(Join(layers, value, few, reachable, _meaning(here, layers, value, reachable, few)))
    return found


def layer_stacks(report: VerificationReport, student: str) -> Markup:
    """The picture of one student beside the teacher; every joined pair has a tooltip with its numbers."""
    depths = _depths(report, student)
    height = min(max(_LAYER * max(depths), _HEIGHTS[0]), _HEIGHTS[1])
    found = joins(report, student)
    aligned = [_by_layer(found, model) for model in (0, 1)]
    parts = [
        Markup('<svg class="stacks" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            _WIDTH, height + _TOP + 20, _described(student, depths, found)
        ),
        *(_heading(x, text) for x, text in ((_LEFT, "teacher"), (_RIGHT, student))),
        *(_link(join, depths, height) for join in found),
        *_stack(_LEFT, depths[0], height, {layer: [] for layer in aligned[0]}),
        *_stack(_RIGHT, depths[1], height, aligned[1]),
        *(_label(x + _BOX / 2, height + _TOP + 14, "↑ input", "muted", 11.0) for x in (_LEFT, _RIGHT)),
        Markup("</svg>"),
    ]
    return Markup("").join(parts)


def _by_layer(found: Sequence[Join], model: int) -> dict[int, list[Join]]:
    """The joins that each layer of a model is in."""
    layers = dict.fromkeys(layer for join in found for layer in join.layers[model])
    return {layer: [join for join in found if layer in join.layers[model]] for layer in layers}


def scale() -> Markup:
    """The colours of shares from 0 to 1 as a CSS gradient."""
    return Markup("linear-gradient(to right, {})").format(", ".join(_colour(step / 8) for step in range(9)))


def _counted(rows: Sequence[InterchangeRow]) -> list[InterchangeRow]:
    """The rows that are in the means, as in a report's headline: they reach the output and have enough pairs."""
    return [row for row in rows if row.reachable and row.effective_pairs >= FEW_PAIRS and row.iia_effective is not None]


def _meaning(
    rows: Sequence[InterchangeRow], layers: tuple[Layers, Layers], value: float | None, reachable: bool, few: bool
) -> str:
    components = ", ".join(dict.fromkeys(row.component for row in rows))
    teacher, student = map(named, layers)
    where = f"teacher {teacher} and student {student} ({components})"
    if not reachable:
        return f"{where}: the intervention cannot reach the output"
    if value is None:
        return f"{where}: {f'fewer than {FEW_PAIRS} effective pairs' if few else 'no value was measured'}"
    counted = _counted(rows)
    seeds = dict.fromkeys(row.seed for row in counted)
    best = mean(best_baseline([row for row in counted if row.seed == seed]) for seed in seeds)
    pairs = [row.effective_pairs for row in counted if row.baseline == "measured"]
    several = f", mean of {len(pairs)}" if len(pairs) > 1 else ""
    ends = " to ".join(str(end) for end in sorted({min(pairs), max(pairs)}))
    return f"{where}: effective IIA {percent(value)}{several} on {ends} effective pairs, best baseline {percent(best)}"


def _described(student: str, depths: tuple[int, int], found: Sequence[Join]) -> str:
    said = "; ".join(join.meaning for join in found) or "no layer is aligned"
    return f"The teacher with {depths[0]} measured layers beside {student} with {depths[1]}: {said}."


def _depths(report: VerificationReport, student: str) -> tuple[int, int]:
    rows = [row for row in report.interchange if row.student == student]
    last = [max((site_layers(report.alignment, row)[model][-1] for row in rows), default=0) for model in (0, 1)]
    teacher = max((row.teacher_layer for row in report.interchange), default=0)  # of every student's grid
    return max(teacher, last[0]) + 1, last[1] + 1


def _heading(x: float, text: str) -> Markup:
    shown = short_name(text, _LETTERS)
    return Markup("<g><title>{}</title>{}</g>").format(text, _label(x + _BOX / 2, 14.0, shown, "ink", 13.0))


def _stack(x: float, depth: int, height: float, aligned: Mapping[int, Sequence[Join]]) -> list[Markup]:
    """The boxes of one model from the input at the bottom to the output at the top."""
    size = height / depth
    every = 1 if size >= 13 else 2 if size >= 7 else 4
    found = []
    for layer in range(depth):
        joins = aligned.get(layer, ())
        style, ink = _box_style(layer in aligned, joins)
        text = _box_text(layer, joins) if layer in aligned or layer % every == 0 else ""
        y = _TOP + height - size * (layer + 1)
        gap = min(4.0, size / 4)
        box = Markup('<rect x="{}" y="{:.1f}" width="{}" height="{:.1f}" rx="4" style="{}"/>').format(
            x, y + gap / 2, _BOX, size - gap, style
        )
        title = "; ".join(join.meaning for join in joins) or f"layer {layer}"
        label = _label(x + _BOX / 2, y + size / 2, text, ink, min(12.0, 0.9 * (size - gap)), "central")
        found.append(Markup("<g><title>{}</title>{}{}</g>").format(title, box, label))
    return found


def _box_style(aligned: bool, joins: Sequence[Join]) -> tuple[str, str]:
    """The style of a box, and the colour of its text; a layer of several joins has no colour of its own."""
    if len(joins) == 1 and joins[0].value is not None and joins[0].reachable:
        colour = _colour(joins[0].value)
        return f"fill: {colour}; stroke: var(--ink, {INK}); stroke-width: 1.5", readable_on(to_rgba(colour))
    edge = f"stroke: var(--ink, {INK}); stroke-width: 1.5" if aligned else f"stroke: var(--muted, {MUTED})"
    return f"fill: var(--tint, {FAINT}); {edge}", "ink"


def _box_text(layer: int, joins: Sequence[Join]) -> str:
    if not joins:
        return f"layer {layer}"
    if len(joins) > 1:
        return f"layer {layer}: {len(joins)} pairs"
    (join,) = joins
    unknown = "few pairs" if join.few else "no value"
    told = "no effect" if not join.reachable else unknown if join.value is None else percent(join.value)
    return f"layer {layer}: {told}"


def _link(join: Join, depths: tuple[int, int], height: float) -> Markup:
    """A line from each of its teacher layers to each of its student layers."""
    left, right = _LEFT + _BOX, _RIGHT
    middle = (left + right) / 2
    teacher, student = (
        [_TOP + height - height / depth * (layer + 0.5) for layer in layers]
        for layers, depth in zip(join.layers, depths, strict=True)
    )
    path = " ".join(
        f"M {left} {start:.1f} C {middle} {start:.1f} {middle} {end:.1f} {right} {end:.1f}"
        for start in teacher
        for end in student
    )
    width = max(3.0, min(8.0, 60.0 / max(depths)))
    drawn = [(f"var(--ink, {INK})", width + 2)]
    drawn += [(_colour(join.value) if join.value is not None and join.reachable else f"var(--paper, {PAPER})", width)]
    lines = Markup("").join(
        Markup('<path d="{}" style="fill: none; stroke: {}; stroke-width: {:.1f}"/>').format(path, colour, wide)
        for colour, wide in drawn
    )
    return Markup("<g><title>{}</title>{}</g>").format(join.meaning, lines)


def _label(x: float, y: float, text: str, ink: str, size: float, baseline: str = "auto") -> Markup:
    colour = f"var(--{ink})" if not ink.startswith("#") else ink
    style = f"fill: {colour}; font-size: {size:.1f}px; text-anchor: middle; dominant-baseline: {baseline}"
    return Markup('<text x="{:.1f}" y="{:.1f}" style="{}">{}</text>').format(x, y, style, text)


def _colour(value: float) -> str:
    return to_hex(matplotlib.colormaps[SHARE_MAP](min(max(value, 0.0), 1.0)))
