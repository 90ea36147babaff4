"""An alignment as a small picture: two stacks of layers, and the pairs drawn between them."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_WIDTH, _BOX, _ROW, _TOP = 460, 84, 26, 30
_LEFT = 20
_RIGHT = _WIDTH - _LEFT - _BOX
_COLOURS = ("#1f77b4", "#d95f02", "#1b9e77", "#7570b3", "#e7298a", "#a6761d")


class PairDrawing(NamedTuple):
    """The drawn parts of a site pair: its name, and layer and component of each site."""

    name: str
    teacher: Sequence[tuple[int, str]]
    student: Sequence[tuple[int, str]]


def diagram(name: str, pairs: Sequence[PairDrawing]) -> str:
    """Inline SVG in the colours of the page around it: the teacher's layers left, the student's right, layer 0 at
    the bottom.

    An alignment does not know how deep the models are: each stack reaches up to the highest layer that is named.
    """
    sides = ([pair.teacher for pair in pairs], [pair.student for pair in pairs])
    depths = [1 + max((layer for sites in side for layer, _ in sites), default=-1) for side in sides]
    rows = max(depths)
    height = _TOP + _ROW * rows + 8
    parts = [_text(_LEFT, 18, f"{name}: teacher"), _text(_RIGHT, 18, "student")]
    for x, depth in zip((_LEFT, _RIGHT), depths, strict=True):
        parts += [_layer(x, _middle(layer, rows), layer) for layer in range(depth)]
    for number, pair in enumerate(pairs):
        parts += _lines(pair, _COLOURS[number % len(_COLOURS)], rows)
    label = escape(f"Alignment {name}: " + "; ".join(_said(pair) for pair in pairs))
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12" fill="currentColor">{"".join(parts)}</svg>'
    )


def _middle(layer: int, rows: int) -> float:
    return _TOP + _ROW * (rows - layer - 0.5)


def _layer(x: int, y: float, layer: int) -> str:
    box = (
        f'<rect x="{x}" y="{y - 9}" width="{_BOX}" height="18" rx="3" fill="none" stroke="currentColor" opacity=".5"/>'
    )
    return box + _text(x + _BOX / 2, y + 4, str(layer), "middle")


def _lines(pair: PairDrawing, colour: str, rows: int) -> list[str]:
    """Lines from every teacher site to every student site, with the pair's name on the first line."""
    ends = [(_middle(t, rows), _middle(s, rows)) for t, _ in pair.teacher for s, _ in pair.student]
    found = [
        f'<line x1="{_LEFT + _BOX}" y1="{start}" x2="{_RIGHT}" y2="{end}" stroke="{colour}" stroke-width="2"/>'
        for start, end in dict.fromkeys(ends)
    ]
    start, end = ends[0]
    return [*found, _text(_WIDTH / 2, (start + end) / 2 - 5, _named(pair), "middle", colour)]


def _named(pair: PairDrawing) -> str:
    """The name of the pair, and the components where these are not whole outputs of blocks."""
    kinds = dict.fromkeys(component for _, component in (*pair.teacher, *pair.student))
    return pair.name if list(kinds) == ["block_output"] else f"{pair.name} ({', '.join(kinds)})"


def _said(pair: PairDrawing) -> str:
    sides = (", ".join(f"{component} {layer}" for layer, component in side) for side in (pair.teacher, pair.student))
    return f"{pair.name}, {' to '.join(sides)}"


def _text(x: int | float, y: int | float, words: str, anchor: str = "start", colour: str = "currentColor") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'
