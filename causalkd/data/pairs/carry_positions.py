"""Carry the positions of an intervention from the teacher's tokens to those of a student with another tokenizer."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from causalkd.data.positions import Positions

_NEVER = 2**40
"""A token number that no row reaches: filler begins and ends there."""


class Rows(NamedTuple):
    """The rows of one side of a batch, base or source, as both models read them.

    Attributes:
        pieces: The pieces of each row that both models read, as `stacked_pieces` makes them.
        counted: True at the teacher's real tokens.
        student_counted: True at the student's real tokens.
    """

    pieces: Int[Tensor, "batch piece 4"]
    counted: Bool[Tensor, "batch pos"]
    student_counted: Bool[Tensor, "batch student_pos"]

    @property
    def of_teacher(self) -> "_Pieces":
        """The pieces in the teacher's tokens."""
        return _Pieces.of(self.pieces[..., 0], self.pieces[..., 1], self.counted)

    @property
    def of_student(self) -> "_Pieces":
        """The pieces in the student's tokens."""
        return _Pieces.of(self.pieces[..., 2], self.pieces[..., 3], self.student_counted)


class _Pieces(NamedTuple):
    """The pieces of padded rows in the tokens of one model.

    Attributes:
        starts: The position at which each begins.
        sizes: Its number of tokens.
        at: The number of the piece that each position is in; meaningless outside of all pieces.
        offset: The number of tokens of that piece before the position.
        inside: Whether the position is in a piece.
    """

    starts: Int[Tensor, "batch piece"]
    sizes: Int[Tensor, "batch piece"]
    at: Int[Tensor, "batch pos"]
    offset: Int[Tensor, "batch pos"]
    inside: Bool[Tensor, "batch pos"]

    @classmethod
    def of(
        cls, starts: Int[Tensor, "batch piece"], stops: Int[Tensor, "batch piece"], counted: Bool[Tensor, "batch pos"]
    ) -> "_Pieces":
        """The pieces with these token numbers, counted from 0 at the first real token of the row."""
        sizes = stops - starts
        starts = starts + counted.int().argmax(1, keepdim=True)
        places = torch.arange(counted.shape[1]).repeat(len(counted), 1)
        at = (torch.searchsorted(starts, places, right=True) - 1).clamp(min=0)
        offset = places - starts.gather(1, at)
        return cls(starts, sizes, at, offset, (offset >= 0) & (offset < sizes.gather(1, at)))


def stacked_pieces(rows: Sequence[Sequence[Sequence[int]]]) -> Int[Tensor, "batch piece 4"]:
    """The pieces of some rows, ascending and each as the numbers of `Piece`, with filler after those of each row."""
    tensors = [torch.tensor([*pieces, [_NEVER] * 4]) for pieces in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=_NEVER)


def carry_positions(positions: Positions, base: Rows, source: Rows) -> tuple[Positions, Positions]:
    """The teacher's positions that the student can be intervened on at, and the student's.

    An intervention replaces a piece of base's text (see `shared_pieces`) by a piece of source's text, in each model
    position by position. This is possible if (1) the drawn positions pair all of the teacher's tokens of a piece of
    base with all of those of a piece of source, in order, and (2) the student has equally many tokens in both. All
    other drawn positions are left out, in both models. So both models are intervened on at exactly the same characters,
    and receive the activations of exactly the same characters.

    Args:
        positions: Positions that were drawn on the teacher's tokens.
        base: The rows of base.
        source: Their sources.
    """
    drawn = positions.sources(base.counted.shape[1])
    taking, giving = base.of_teacher, source.of_teacher
    own_taking, own_giving = base.of_student, source.of_student
    first = drawn.gather(1, taking.starts.clamp(max=drawn.shape[1] - 1))
    giver = giving.at.gather(1, first.clamp(min=0))
    alike = first == giving.starts.gather(1, giver)
    for one, other in ((taking, giving), (own_taking, own_giving)):
        alike &= one.sizes == other.sizes.gather(1, giver)
    paired = taking.inside & (drawn == _received(taking, giving, giver))
    tokens = torch.zeros_like(taking.sizes).scatter_add(1, taking.at, paired.long())
    whole = alike & (tokens == taking.sizes)
    kept, carried = (
        _received(one, other, giver).where(one.inside & whole.gather(1, one.at), -1)
        for one, other in ((taking, giving), (own_taking, own_giving))
    )
    return Positions.from_sources(kept), Positions.from_sources(carried)


def _received(taking: _Pieces, giving: _Pieces, giver: Int[Tensor, "batch piece"]) -> Int[Tensor, "batch pos"]:
    """The position of source that corresponds to each of base, if base's pieces are replaced by source's."""
    return giving.starts.gather(1, giver).gather(1, taking.at) + taking.offset
