"""Escaping of names and sentences in Markdown, which are shown unchanged and make no link, heading, cell or HTML."""

import re
import unicodedata

_ALWAYS = r"[\\`*|$]"
_OPENS_HTML = r"<(?=[A-Za-z/!?])|&(?=#?\w+;)"
_CLOSES_LINK = r"\](?=[(\[:])"
_AT_A_WORDS_EDGE = r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"
_STRUCK = r"~(?=~)|(?<=~)~"
_BEGINS_A_BLOCK = r"^[#>]|^[+-](?=[\s-])|(?<=^[0-9])[.)](?=\s)"
_SPECIAL = re.compile("|".join((_ALWAYS, _OPENS_HTML, _CLOSES_LINK, _AT_A_WORDS_EDGE, _STRUCK, _BEGINS_A_BLOCK)))

_TURNS = frozenset({"R", "AL", "AN", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI"})
"""Unicode's bidirectional classes of letters from right to left, and of characters that begin another direction."""


def plain(text: str) -> str:
    """The text on one line as Markdown that shows it unchanged."""
    line = " ".join(text.split())
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", line)


def code_block(text: str, language: str = "") -> str:
    """The text as a block of code, in a fence that is longer than any run of backticks in it."""
    longest = max((len(found) for found in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def isolated(name: str) -> str:
    """A name for a sentence: if it is written from right to left, it does not change the direction of what follows."""
    turns = any(unicodedata.bidirectional(letter) in _TURNS for letter in name)
    return f"\u2068{name}\u2069" if turns else name
