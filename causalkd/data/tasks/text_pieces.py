"""The ends of the pieces into which a long text is cut for tokenising, so that their tokens are those of the whole."""

import re
from collections.abc import Iterator
from itertools import pairwise
from mmap import ACCESS_READ, mmap
from pathlib import Path

_PIECE = 1 << 16
"""The number of bytes of a piece, up to the next place where it may end, which is sought in as many bytes again."""
_LONGEST_DOCUMENT = 16
"""A document that a pattern finds is one piece if it is no longer than this many pieces."""
_LINE = re.compile(rb"\n(?=\S| \S)")
"""The end of a line that a piece may end with. Tokenizers join white space across the end of a line, but leave one
space to the word that follows it, as every line of WikiText has it."""


def piece_ends(file: Path, begins: str | None) -> Iterator[tuple[int, int]]:
    """The first byte of each piece of a file of text and the byte after its last.

    Args:
        file: The file.
        begins: A pattern of the line that begins a document; then a document is a piece, unless it is very long.
    """
    size = file.stat().st_size
    if not size:
        return
    with file.open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as text:
        found = re.finditer(begins.encode(), text, re.MULTILINE) if begins else ()
        bounds = [0, *(start for each in found if (start := each.start())), size]
        longest = _PIECE * _LONGEST_DOCUMENT if len(bounds) > 2 else _PIECE
        for start, stop in pairwise(bounds):
            while start < stop:
                end = stop if stop - start <= longest else _end(text, start, stop)
                yield start, end
                start = end


def _end(text: mmap, start: int, stop: int) -> int:
    """The byte after the piece that begins at `start`, in a document that ends at `stop`."""
    usual, last = start + _PIECE, min(start + 2 * _PIECE, stop)
    line = _LINE.search(text, usual, last)
    if line or last == stop:
        return line.end() if line else stop
    # Without a place where the tokens stay those of the whole, memory comes first: an end of line, a word, a character.
    for place in (text.rfind(b"\n", usual, last) + 1, text.rfind(b" ", usual, last)):
        if place > usual:
            return place
    return next((place for place in range(last, last - 4, -1) if text[place] & 0xC0 != 0x80), last)
