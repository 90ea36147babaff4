"""Texts with coloured words as parts of a page: one view at a time, the models under one another."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SHOWN_TEXTS = 3
SHOWN_VIEWS = 12
SHOWN_WORDS = 160
"""Words of a text that are shown; longer texts would make the page too large."""
_FOR, _AGAINST = (33, 102, 172), (178, 24, 43)
_STRONGEST = 0.6
"""The opacity of the strongest colour: text on it keeps a contrast of 4.5, on paper and in the dark."""


@dataclass(frozen=True)
class Word:
    """One token.

    Attributes:
        text: The token.
        background: Its colour in CSS; empty for none.
        against: Whether its number is negative; such words are underlined too, for readers who see no colours.
        meaning: The exact number, for a tooltip.
    """

    text: str
    background: str
    against: bool
    meaning: str


@dataclass(frozen=True)
class Line:
    """The words of a text as one model has them; `note` says how near the model is to the teacher."""

    name: str
    note: str
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Passage:
    """One text: a heading, and a line for each model."""

    heading: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class View:
    """What one choice shows."""

    title: str
    passages: tuple[Passage, ...]


@dataclass(frozen=True)
class TextViews:
    """A choice of views.

    Attributes:
        anchor: A word that tells the choices of a page apart.
        choice: What is chosen.
        key: What the colours mean, and which texts these are.
        views: At least one.
    """

    anchor: str
    choice: str
    key: str
    views: tuple[View, ...]


def coloured_words(
    tokens: Sequence[str], shares: Sequence[float], meanings: Iterable[str], strongest: float = 1.0
) -> tuple[Word, ...]:
    """The tokens on a colour that is the stronger the larger the share is: blue for positive ones, red for negative.

    Args:
        tokens: At most `SHOWN_WORDS` of them are shown.
        shares: A number for each token; 0 and what is not finite have no colour.
        meanings: A tooltip for each token.
        strongest: The number at which a colour is at its full strength.
    """
    shown = list(zip(tokens, shares, meanings, strict=True))[:SHOWN_WORDS]
    words = tuple(Word(text, _background(share / strongest), share < 0, told) for text, share, told in shown)
    left = len(tokens) - len(words)
    return (*words, Word(f"… and {left} more", "", False, "")) if left else words


def _background(strength: float) -> str:
    if not math.isfinite(strength):
        return ""
    opacity = round(_STRONGEST * min(abs(strength), 1.0), 2)
    red, green, blue = _FOR if strength > 0 else _AGAINST
    return f"rgba({red}, {green}, {blue}, {opacity:g})" if opacity else ""
