"""Texts whose tokens are coloured by their scores, one model below the other; and where two models disagree most."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.figures.attribution_maps import STRONGEST, signed_shares
from analysis.figures.style import DIFFERENCE_MAP, INK, MUTED, readable_on, styled
from causalkd.attribution.agreement import agreement
from causalkd.attribution.maps import AttributionMap
from causalkd.verification.measures.map_scores import text_agreement

_COLUMNS = 104  # characters of a line
_CHARACTER = (0.0755, 0.2)  # inches of a character at 9 points, and of a line
_MEANING = "signed share of the text's attribution: blue for the view, red against it"


class Passage(NamedTuple):
    """A heading, and tokens with their signed shares of the text's attribution; no tokens leave the heading alone."""

    heading: str
    tokens: Sequence[str] = ()
    shares: Sequence[float] = ()


@styled
def coloured_text(maps: Mapping[str, AttributionMap], text: int, view: int = 0) -> Figure:
    """One text, once for each model, its tokens coloured by their share of the text's attribution.

    Args:
        maps: By the name of the model, at one depth.
        text: Number of the text.
        view: Number of the view.

    Raises:
        ValueError: There is no map, or no such text or view.
    """
    if not maps:
        raise ValueError("no map was given; `causalkd attribute` makes them, and load_maps reads them")
    first = next(iter(maps.values()))
    views, texts = len(first.views), len(first.mask)
    if not (0 <= text < texts and 0 <= view < views):
        raise ValueError(f"there is no text {text} with view {view}; the maps have {texts} texts and {views} views")
    tokens = int(first.mask[text].sum())
    title = Passage(f"text {text}, view: {first.views[view][text]} (n = {tokens} tokens)")
    return draw_passages([title, *(_passage(name, each, text, view) for name, each in maps.items())])


@styled
def disagreements(teacher: AttributionMap, student: AttributionMap, name: str = "student", count: int = 3) -> Figure:
    """The texts on which two models' maps disagree most, by the cosine of their maps (mean over views).

    Each is shown for the view on which they disagree most.

    Args:
        teacher: The teacher's map.
        student: The student's, at the same texts.
        name: The student's name.
        count: How many texts.

    Raises:
        ValueError: The maps are of other texts or views.
    """
    cosines = text_agreement(teacher, student)
    worst = np.argsort(cosines)[:count]  # those not defined come last
    n, average = int((~np.isnan(cosines)).sum()), float(np.nanmean(cosines))
    passages = [Passage(f"lowest cosines of {n} texts, whose mean is {_signed(average)}; chance is 0")]
    for text in worst.tolist():
        by_view = [cosine(teacher, student, text, view) for view in range(len(teacher.views))]
        view = int(np.argmin(np.nan_to_num(by_view, nan=np.inf)))
        lowest = f"view {teacher.views[view][text]}: {_signed(by_view[view])}"
        passages.append(Passage(f"text {text}: cosine {_signed(float(cosines[text]))}; {lowest}"))
        passages += [_passage(who, each, text, view) for who, each in (("teacher", teacher), (name, student))]
    return draw_passages(passages)


def cosine(teacher: AttributionMap, student: AttributionMap, text: int, view: int) -> float:
    """The cosine of two models' maps of one text under one view; NaN where it is not defined (see `agreement`)."""
    here = slice(text, text + 1)
    return float(agreement(teacher.scores[view, here], student.scores[view, here], teacher.mask[here]).cosine[0])


def _signed(value: float) -> str:
    return "not defined" if np.isnan(value) else f"{value:.2f}".replace("-", "−")


def _passage(name: str, found: AttributionMap, text: int, view: int) -> Passage:
    here = found.mask[text].nonzero()[:, 0].tolist()
    shares = signed_shares(found.scores[view, text, here].double().numpy())
    return Passage(name, [found.tokens[text][position] for position in here], shares.tolist())


def draw_passages(passages: Sequence[Passage], strongest: float = STRONGEST, meaning: str = _MEANING) -> Figure:
    """Texts below each other, their tokens coloured red to blue by what `shares` holds.

    Args:
        passages: What to write.
        strongest: The number at which a colour is at its full strength.
        meaning: What the numbers are.
    """
    lines = sum(1 + len(_lines(passage.tokens)) for passage in passages)
    height = _CHARACTER[1] * (lines + 0.5 * len(passages))
    figure = Figure(figsize=(_CHARACTER[0] * _COLUMNS + 0.3, height + 0.75), layout="constrained")
    ax = figure.subplots()
    shades = ScalarMappable(Normalize(-strongest, strongest), matplotlib.colormaps[DIFFERENCE_MAP])
    y = 0.0
    for passage in passages:
        ax.text(0, y + 0.75, passage.heading, color=INK if not passage.tokens else MUTED, va="baseline")
        y = _draw_tokens(ax, passage, y + 1, shades) + 0.5
    ax.set_xlim(0, _COLUMNS)
    ax.set_ylim(y, 0)
    ax.axis("off")
    bar = figure.colorbar(
        shades, ax=ax, orientation="horizontal", extend="both", aspect=60, fraction=0.3 / (height + 0.75), pad=0.01,
        label=meaning,
    )  # fmt: skip
    bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def _draw_tokens(ax: Axes, passage: Passage, top: float, shades: ScalarMappable) -> float:
    """Draws the tokens from a line on and gives the line after the last."""
    lines = _lines(passage.tokens)
    for y, places in enumerate(lines, 1):
        x = 0
        for place in places:
            word = passage.tokens[place]
            colour = to_rgba(shades.to_rgba(np.array([passage.shares[place]]))[0])
            ax.add_patch(Rectangle((x, top + y - 0.95), len(word) + 0.6, 0.9, facecolor=colour, linewidth=0))
            ax.text(x + 0.3, top + y - 0.3, word, family="monospace", color=readable_on(colour), va="baseline")
            x += len(word) + 1
    return top + len(lines)


def _lines(tokens: Sequence[str]) -> list[list[int]]:
    """The places of the tokens on each line."""
    lines: list[list[int]] = []
    used = _COLUMNS
    for place, token in enumerate(tokens):
        if used + len(token) + 1 > _COLUMNS:
            lines.append([])
            used = 0
        lines[-1].append(place)
        used += len(token) + 1
    return lines
