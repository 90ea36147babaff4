"""The style of figures, and their conversion to bytes: the same data gives the same file."""

import functools
import io
import re
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
from matplotlib.figure import Figure

Parameters = ParamSpec("Parameters")
Draw = Callable[[], Figure]
"""A function that draws a figure when it is called, so that a page can go on without it."""

INK = "#22272e"
MUTED = "#8a919b"
FAINT = "#e3e6ea"
PAPER = "#ffffff"
OUTLINE = "#000000"
"""Around data, whose colours are the same in the dark: never the page's."""
CHANCE = "#b3261e"
"""What any chance or guessing level is drawn in."""

_TIP = "tip:"
"""Begins the id of a group of which `to_svg` makes a tooltip."""
_OF_THE_PAGE = {INK: "ink", MUTED: "muted", FAINT: "line", CHANCE: "chance"}
"""Colours that a page may replace by CSS variables of these names, for readers in the dark or on paper."""

# Okabe and Ito's colours, which stay apart for colour-blind readers; their yellow is too faint for lines. Then six that
# lie as far from all others, for each kind of sight, as these do from each other.
_STUDENTS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"),
    *("#6c00d9", "#732e5c", "#59443a", "#87bf7c", "#6c57d9", "#bfac4d"),
)

SHARE_MAP = "YlGnBu"
"""The colours of shares, 0 to 1."""
DIFFERENCE_MAP = "RdBu"
"""The colours of differences, centred at 0: red below, blue above."""

_SETTINGS = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "text.color": INK,
    "text.parse_math": False,  # the texts of a run may hold dollars
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "hatch.color": MUTED,
    "hatch.linewidth": 0.6,
    "svg.fonttype": "none",
    "figure.dpi": 100,
    "savefig.dpi": 150,
}


def styled(draw: Callable[Parameters, Figure]) -> Callable[Parameters, Figure]:
    """Makes a function draw its figure in this style, whatever the caller's matplotlib is set to."""

    @functools.wraps(draw)
    def drawn(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Figure:
        with matplotlib.rc_context(_settings()):
            return draw(*args, **kwargs)

    return drawn


def student_colours(names: Iterable[str]) -> dict[str, str]:
    """One colour a student, by the order in which the names first come; they repeat after twelve."""
    unique = list(dict.fromkeys(names))
    return {name: _STUDENTS[index % len(_STUDENTS)] for index, name in enumerate(unique)}


def readable_on(colour: tuple[float, float, float, float]) -> str:
    """Black or white, whichever has the higher contrast on a colour (WCAG 2.2, relative luminance)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    luminance = sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#ffffff" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "#000000"


def to_svg(figure: Figure, name: str = "figure") -> str:
    """An `<svg>` element to stand inside a page, whose colours it takes over where the page defines them.

    Data keep their own colours. `name` keeps the ids apart from those of the page's other figures.
    """
    file = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with matplotlib.rc_context({**_settings(), "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # text stays text: the browser has the glyphs
        figure.savefig(file, format="svg", metadata=nothing)
    element = file.getvalue()
    element = element[element.index("<svg") :]
    element = re.sub(rf"""<g id=(["']){_TIP}(.*?)\1>""", r"<g><title>\2</title>", element)
    element = re.sub(r'<g id="[^"]*"', "<g", element)  # matplotlib counts groups anew; nothing refers to them
    for colour, variable in _OF_THE_PAGE.items():
        element = element.replace(f": {colour}", f": var(--{variable}, {colour})")
    # White text stands on data; white shapes, and what is behind hatches, are the background.
    paper = f": var(--paper, {PAPER})"
    element = element.replace(f'fill="{PAPER}"', f'style="fill{paper}"')
    return re.sub(r"<path [^>]*>", lambda path: path[0].replace(f": {PAPER}", paper), element)


def tip(text: str) -> str:
    """The `gid` of an artist that shows a text when it is pointed at, once its figure stands in a page."""
    return _TIP + text


def save(figure: Figure, path: str | Path) -> None:
    """Writes a figure as SVG or PNG, by the file's ending, without a date in it."""
    path = Path(path)
    with matplotlib.rc_context({**_settings(), "svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})


def _settings() -> dict[Any, Any]:
    defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}
    return {**defaults, **_SETTINGS}
