"""Carry the positions of an intervention from the teacher's tokens to those of a student with another tokenizer."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from causalkd.data.pieces import Piece
from causalkd.data.positions import Positions

Pair = tuple[int, int]
"""A position of base and the position of source whose activation it receives."""


class Rows(NamedTuple):
    """The rows of one side of a batch, base or source, as both models read them.

    Attributes:
        pieces: The pieces of each row that both models read.
        counted: True at the teacher's real tokens.
        student_counted: True at the student's real tokens.
    """

    pieces: Sequence[Sequence[Piece]]
    counted: Bool[Tensor, "batch pos"]
    student_counted: Bool[Tensor, "batch student_pos"]


def carry_positions(positions: Positions, base: Rows, source: Rows) -> tuple[Positions, Positions]:
    """The teacher's positions that the student can be intervened on at, and the student's.

    An intervention replaces a piece of base's text (see `shared_pieces`) by a piece of source's text, in each model
    position by position. It is defined where the drawn positions pair all of the teacher's tokens of a piece of base
    with all of those of a piece of source, in their order, and the student, too, has as many tokens in the one as in
    the other. All other drawn positions are left out, in both models. So both models are intervened on at the very
    same characters, and receive those of the very same characters.

    Args:
        positions: Positions that were drawn on the teacher's tokens.
        base: The rows of base.
        source: Their sources.
    """
    one, other = positions.base - _first(base.counted), positions.source - _first(source.counted)
    kept: list[list[Pair]] = []
    carried: list[list[Pair]] = []
    for row, valid in enumerate(positions.valid):
        drawn = list(zip(one[row][valid].tolist(), other[row][valid].tolist(), strict=True))
        pieces = _corresponding(drawn, base.pieces[row], source.pieces[row])
        kept.append([pair for each in pieces for pair in _of_teacher(*each)])
        carried.append([pair for each in pieces for pair in _of_student(*each)])
    return (
        _placed(kept, base.counted, source.counted),
        _placed(carried, base.student_counted, source.student_counted),
    )


def _corresponding(drawn: Sequence[Pair], base: Sequence[Piece], source: Sequence[Piece]) -> list[tuple[Piece, Piece]]:
    """The pieces of base and of source that drawn token numbers pair whole, with as many tokens in each model."""
    begun, given = ({piece.start: piece for piece in pieces} for pieces in (base, source))
    found = []
    for place, (one, other) in enumerate(drawn):
        if one not in begun or other not in given:
            continue
        pieces = begun[one], given[other]
        tokens, own = _of_teacher(*pieces), _of_student(*pieces)
        if tokens and own and list(drawn[place : place + len(tokens)]) == tokens:
            found.append(pieces)
    return found


def _of_teacher(base: Piece, source: Piece) -> list[Pair]:
    return _paired(range(base.start, base.stop), range(source.start, source.stop))


def _of_student(base: Piece, source: Piece) -> list[Pair]:
    return _paired(range(base.student_start, base.student_stop), range(source.student_start, source.student_stop))


def _paired(base: range, source: range) -> list[Pair]:
    """The tokens of two pieces, each with its like; none where there are not as many."""
    return list(zip(base, source, strict=True)) if len(base) == len(source) else []


def _placed(
    rows: Sequence[Sequence[Pair]], base: Bool[Tensor, "batch pos"], source: Bool[Tensor, "batch source_pos"]
) -> Positions:
    """Pairs of token numbers as positions in padded rows."""
    width = max(map(len, rows), default=0)
    valid = torch.arange(width) < torch.tensor([len(row) for row in rows])[:, None]
    tokens = torch.tensor([[*row, *[(0, 0)] * (width - len(row))] for row in rows], dtype=torch.long)
    one, other = tokens.reshape(len(rows), width, 2).unbind(-1)
    return Positions((one + _first(base)).where(valid, 0), (other + _first(source)).where(valid, 0), valid)


def _first(counted: Bool[Tensor, "batch pos"]) -> Int[Tensor, "batch 1"]:
    """The position of each row's first real token."""
    return counted.int().argmax(1, keepdim=True)
