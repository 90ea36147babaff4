"""The smallest parts of a row that are whole tokens of two tokenizers."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

Extent = tuple[int, int]
"""The half-open range of a token on the axis of `causalkd.data.tasks.extents`."""


class Piece(NamedTuple):
    """A part of a row that is whole tokens for both models, by their numbers in the row, of which 0 is the first.

    Attributes:
        start: The teacher's first token.
        stop: The teacher's token after the last.
        student_start: The student's first token.
        student_stop: The student's token after the last.
    """

    start: int
    stop: int
    student_start: int
    student_stop: int


def shared_pieces(teacher: Sequence[Extent], student: Sequence[Extent]) -> list[Piece]:
    """The pieces of a row, in their order.

    A piece begins and ends where no token of either model goes on, and is divided no further. Both models read exactly
    the same characters of it: a part of the text that one of them does not see, because its row was cut or its
    tokenizer drops a character, is in no piece.

    Args:
        teacher: The extents of the teacher's tokens of the row.
        student: The extents of the student's tokens.
    """
    end = max((stop for _, stop in (*teacher, *student)), default=0)
    cuts, others = _cuts(teacher, end), _cuts(student, end)
    differing = _seen(teacher) ^ _seen(student)
    found = []
    for left, right in pairwise(sorted(cuts.keys() & others.keys())):
        piece = Piece(cuts[left], cuts[right], others[left], others[right])
        whole = piece.start < piece.stop and piece.student_start < piece.student_stop
        if whole and differing.isdisjoint(range(left, right)):
            found.append(piece)
    return found


def _cuts(extents: Sequence[Extent], end: int) -> dict[int, int]:
    """The number of tokens before each point that no token spans; tokens without an extent belong to what precedes."""
    before = list(accumulate((stop for _, stop in extents), max, initial=0))
    after = list(accumulate((start for start, _ in reversed(extents)), min, initial=end))[::-1]
    return {place: number for number in range(len(before)) for place in range(before[number], after[number] + 1)}


def _seen(extents: Sequence[Extent]) -> set[int]:
    return {place for start, stop in extents for place in range(start, stop)}
