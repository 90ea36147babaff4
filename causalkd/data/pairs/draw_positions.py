"""Draw the token positions of an intervention in each row of a batch, by a position policy.

Drawing happens in *token numbers* (0 is the first real token of a row) and is turned into positions of the padded row
at the end, so padding is never drawn, on whichever side it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.data.positions import Positions
from causalkd.data.rng import Index, Stream, integers, uniforms


@dataclass(frozen=True, eq=False)
class RowFacts:
    """The facts about the rows of a batch that a draw needs."""

    counted: Bool[Tensor, "batch pos"]
    """True at real tokens, false at padding."""
    masked: Bool[Tensor, "batch pos"] | None = None
    """True at tokens that masked-language-model corruption chose; None if there is no corruption."""
    segments: Mapping[str, Int[Tensor, "batch 2"]] = field(default_factory=dict)
    """The half-open range of token numbers in each row, by segment name; (-1, -1) if a row lacks it."""

    @property
    def lengths(self) -> Int[Tensor, "batch"]:
        """The number of real tokens in each row."""
        return self.counted.sum(1)

    def rows(self, index: Int[Tensor, "rows"]) -> "RowFacts":
        """The facts of some rows."""
        masked = None if self.masked is None else self.masked[index]
        return RowFacts(self.counted[index], masked, {name: span[index] for name, span in self.segments.items()})


def check_rows(policy: PositionPolicy, rows: RowFacts, index: Index, side: Literal["base", "source"]) -> None:
    """Raise one ValueError if the policy cannot be applied to some of the rows, which are named by example number."""
    faults = []
    if policy.policy == "segments":
        faults = _segment_faults(policy.segments, rows, index)
    elif policy.policy == "explicit":
        furthest = max(policy.base if side == "base" else policy.source)
        short = (rows.lengths <= furthest).nonzero()[:, 0].tolist()
        faults = [
            f"{_name(index, row)} has no token {furthest}: it has {int(rows.lengths[row])} tokens" for row in short
        ]
    elif policy.policy == "masked" and side == "base" and rows.masked is None:
        faults = ["the base rows have no masked tokens: only masked_lm corrupts its input. Choose another policy"]
    if faults:
        more = [f"... and {len(faults) - 10} more"] if len(faults) > 10 else []
        raise ValueError(f"position policy '{policy.policy}' ({side}): " + "\n  ".join(faults[:10] + more))


def draw_positions(
    policy: PositionPolicy, base: RowFacts, source: RowFacts, seed: int, index: Index, epoch: int = 0
) -> Positions:
    """The positions of one batch under a policy.

    A row's draw depends on the seed, the epoch, its example number in `index` and the two rows themselves: not on the
    rest of the batch, on padding, or on workers. Policies that draw alike share their draws. Raises ValueError where
    a row cannot serve (see `check_rows`).
    """
    check_rows(policy, base, index, "base")
    check_rows(policy, source, index, "source")
    draw = _Draw(policy, base, source, seed, index, epoch)
    base_tokens, source_tokens, count = draw.tokens()
    width = int(count.max())
    valid = torch.arange(width) < count[:, None]

    def place(tokens: Int[Tensor, "batch wide"], rows: RowFacts) -> Int[Tensor, "batch k"]:
        return _true_first(rows.counted).gather(1, tokens[:, :width].where(valid, 0)).where(valid, 0)

    return Positions(place(base_tokens, base), place(source_tokens, source), valid)


PairDrawing = tuple[Int[Tensor, "batch wide"], Int[Tensor, "batch wide"], Int[Tensor, "batch"]]
"""Token numbers in base, in source, and how many of them count in each row."""


@dataclass(frozen=True, eq=False)
class _Draw:
    """One call of `draw_positions`, in token numbers."""

    policy: PositionPolicy
    base: RowFacts
    source: RowFacts
    seed: int
    index: Index
    epoch: int

    def tokens(self) -> PairDrawing:
        policy, lengths, source_lengths = self.policy, self.base.lengths, self.source.lengths
        shortest = torch.minimum(lengths, source_lengths)
        match policy.policy:
            case "all":
                return (*self._spans(torch.zeros_like(shortest), torch.zeros_like(shortest), shortest), shortest)
            case "first" | "last":
                count = shortest.clamp(max=policy.maximum or 1)
                at_end = policy.policy == "last"
                starts = (lengths - count, source_lengths - count) if at_end else (count * 0, count * 0)
                return (*self._spans(*starts, count), count)
            case "consecutive":
                return self._consecutive(lengths, source_lengths)
            case "scattered":
                every = _numbers_below(shortest if policy.same else lengths, self.base)
                return self._scattered(every, self._count(shortest))
            case "masked":
                return self._masked(source_lengths)
            case "segments":
                return self._segments()
            case "explicit":
                tokens = [torch.tensor(side).expand(len(lengths), -1) for side in (policy.base, policy.source)]
                return tokens[0], tokens[1], torch.full_like(lengths, len(policy.base))

    def _count(self, available: Int[Tensor, "batch"]) -> Int[Tensor, "batch"]:
        """floor(fraction * available), in float64 as Python's `int` has it, at most `maximum`."""
        count = (available.double() * (self.policy.fraction or 1.0)).floor().long()
        return count if self.policy.maximum is None else count.clamp(max=self.policy.maximum)

    def _spans(
        self, start: Int[Tensor, "batch"], source_start: Int[Tensor, "batch"], count: Int[Tensor, "batch"]
    ) -> tuple[Int[Tensor, "batch wide"], Int[Tensor, "batch wide"]]:
        offsets = torch.arange(int(count.max()))
        return start[:, None] + offsets, source_start[:, None] + offsets

    def _consecutive(self, available: Int[Tensor, "batch"], source_available: Int[Tensor, "batch"]) -> PairDrawing:
        """A span of each row; every possible start has the same probability."""
        shortest = torch.minimum(available, source_available)
        count = self._count(shortest)
        room, source_room = (shortest if self.policy.same else available) - count + 1, source_available - count + 1
        start = integers(self.seed, self.epoch, self.index, Stream.BASE_POSITIONS, room)
        source_start = integers(self.seed, self.epoch, self.index, Stream.SOURCE_POSITIONS, source_room)
        return (*self._spans(start, start if self.policy.same else source_start, count), count)

    def _scattered(self, allowed: Bool[Tensor, "batch pos"], count: Int[Tensor, "batch"]) -> PairDrawing:
        """`count` of the allowed tokens of base and as many of any tokens of source (the same ones where required)."""
        tokens = self._choose(allowed, count, Stream.BASE_POSITIONS)
        if self.policy.same:
            return tokens, tokens, count
        every = _numbers_below(self.source.lengths, self.source)
        return tokens, self._choose(every, count, Stream.SOURCE_POSITIONS), count

    def _choose(
        self, allowed: Bool[Tensor, "batch pos"], count: Int[Tensor, "batch"], stream: Stream
    ) -> Int[Tensor, "batch wide"]:
        """The `count` allowed tokens with the smallest random numbers in each row, in ascending order."""
        width, wide = allowed.shape[1], int(count.max())
        order = uniforms(self.seed, self.epoch, self.index, stream, width).where(allowed, 2.0).argsort(1)[:, :wide]
        return order.where(torch.arange(wide) < count[:, None], width).sort(1).values

    def _masked(self, source_lengths: Int[Tensor, "batch"]) -> PairDrawing:
        """Every masked token of base; where source or `maximum` allows fewer, that many of them, drawn."""
        assert self.base.masked is not None
        allowed = self.base.masked.gather(1, _true_first(self.base.counted)) & _numbers_below(
            self.base.lengths, self.base
        )
        if self.policy.same:
            allowed &= _numbers_below(source_lengths, self.base)
        return self._scattered(allowed, self._count(torch.minimum(allowed.sum(1), source_lengths)))

    def _segments(self) -> PairDrawing:
        """Tokens of the named segments, one segment after the other; a span of them if the policy gives a count."""
        spans = [
            torch.stack([rows.segments[name] for name in self.policy.segments], 1) for rows in (self.base, self.source)
        ]
        base_sizes, source_sizes = ((span[:, :, 1] - span[:, :, 0]).sum(1) for span in spans)
        if self.policy.fraction is None and self.policy.maximum is None:
            count = torch.minimum(base_sizes, source_sizes)
            base, source = self._spans(count * 0, count * 0, count)
        else:
            base, source, count = self._consecutive(base_sizes, source_sizes)
        return _in_segments(base, spans[0]), _in_segments(source, spans[1]), count


def _true_first(mask: Bool[Tensor, "batch pos"]) -> Int[Tensor, "batch pos"]:
    """The positions of each row, those where the mask is true first, ascending within each kind."""
    return mask.int().argsort(dim=1, descending=True, stable=True)


def _numbers_below(limit: Int[Tensor, "batch"], rows: RowFacts) -> Bool[Tensor, "batch pos"]:
    return torch.arange(rows.counted.shape[1]) < limit[:, None]


def _in_segments(offset: Int[Tensor, "batch wide"], spans: Int[Tensor, "batch names 2"]) -> Int[Tensor, "batch wide"]:
    """The token at an offset into several segments laid end to end."""
    token, start = torch.zeros_like(offset), torch.zeros_like(offset[:, :1])
    for span in spans.unbind(1):
        stop = start + (span[:, 1:] - span[:, :1])
        token = torch.where((start <= offset) & (offset < stop), span[:, :1] + offset - start, token)
        start = stop
    return token


def _name(index: Index, row: int) -> str:
    return f"example {int(index[row])}"


def _segment_faults(names: tuple[str, ...], rows: RowFacts, index: Index) -> list[str]:
    absent = torch.full((len(rows.counted), 2), -1)
    spans = {name: rows.segments.get(name, absent) for name in names}
    faults = []
    for name, span in spans.items():
        for row in (span[:, 0] < 0).nonzero()[:, 0].tolist():
            present = sorted(other for other, table in rows.segments.items() if table[row, 0] >= 0)
            faults.append(f"{_name(index, row)} has no segment '{name}'; it has {', '.join(present) or 'none'}")
        for row in ((span[:, 1] > rows.lengths) | (span[:, 0] > span[:, 1])).nonzero()[:, 0].tolist():
            bounds = tuple(span[row].tolist())
            faults.append(
                f"{_name(index, row)}: segment '{name}' {bounds} is not in its {int(rows.lengths[row])} tokens"
            )
    for number, name in enumerate(names):
        for other in names[number + 1 :]:
            shared = torch.minimum(spans[name][:, 1], spans[other][:, 1]) - torch.maximum(
                spans[name][:, 0], spans[other][:, 0]
            )
            for row in ((shared > 0) & (spans[name][:, 0] >= 0) & (spans[other][:, 0] >= 0)).nonzero()[:, 0].tolist():
                faults.append(f"{_name(index, row)}: segments '{name}' and '{other}' overlap; name one of them")
    return faults
