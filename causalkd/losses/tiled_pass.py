"""Decoupled losses of two heads in tiles of tokens and vocabulary, which take the memory of a tile, however large both.

A head's weight is read once for a block of tokens, and its gradient written once, in its own precision. The price is
one more matrix product: the student's logits are made twice, first for their normaliser, then for loss and gradient.
The teacher's are made once, because their normaliser is known from measuring its uncertainty.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.linalg import vecdot

from causalkd.losses.chunked import clamped_to_dtype
from causalkd.losses.projection import Projection
from causalkd.losses.tiled_odds import Odds, binary_kl, furthest, place

# Tokens in a block, and logits in a tile: several tiles stay in a processor's cache.
_BLOCK_ON_CPU, _BLOCK = 2**9, 2**12
_TILE_ON_CPU, _TILE = 2**17, 2**24

Vector = Float[Tensor, " row"]


@dataclass(frozen=True, eq=False)
class Decoupled:
    """target · TKD + diversity · DKD of each row (see `decoupled`).

    Attributes:
        gold: The gold token of each row.
        target: Factor of TKD.
        diversity: Factor of DKD.
        teacher_odds: The teacher's odds.
        counted: The rows that count; None for all.
        temperature: Divides the logits of both.
    """

    gold: Int[Tensor, " row"]
    target: Vector
    diversity: Vector
    teacher_odds: Odds
    counted: Bool[Tensor, " row"] | None
    temperature: float


@dataclass(frozen=True, eq=False)
class Gradients:
    """The gradients of hidden states, weight and bias; None for a tensor that needs none."""

    hidden: Tensor | None
    weight: Tensor | None
    bias: Tensor | None

    @property
    def wanted(self) -> bool:
        """Whether there is any."""
        return any(each is not None for each in (self.hidden, self.weight, self.bias))


def tile_elements(rows: int, device: str) -> int:
    """The most logits that exist at a time."""
    return min(rows, _block(device)) * _entries(rows, device)


def tiled_odds(head: Projection, gold: Int[Tensor, " row"], temperature: float, dtype: torch.dtype) -> Odds:
    """The odds of each row's gold token, without any gradient."""
    found = Odds.of_nothing(len(gold), torch.empty(0, dtype=dtype, device=gold.device))
    for block, part in _tiles(len(gold), len(head.weight), gold.device.type):
        tile = _scaled(head.logits(block, part), temperature, dtype)
        found.rows(block).add(tile, gold[block], part.start)
    return found


def tiled_pass(
    student: Projection, teacher: Projection, loss: Decoupled, coefficients: Vector, gradients: Gradients
) -> Vector:
    """The loss of each row; the gradients of the sum of all, each times its coefficient, are written if needed.

    Args:
        student: The student's head.
        teacher: The teacher's head.
        loss: The loss.
        coefficients: The factors of the rows.
        gradients: Tensors of zeros; that of the hidden states is at least in float32.
    """
    dtype, gold = coefficients.dtype, loss.gold
    own = tiled_odds(student, gold, loss.temperature, dtype)
    x, y = own.log_odds, loss.teacher_odds.log_odds
    of_odds = loss.target * (x.sigmoid() - y.sigmoid())
    shift = (loss.teacher_odds.total.log() - own.total.log()).unsqueeze(1)
    diverging = torch.zeros_like(x)
    factors = _where(loss.counted, coefficients / loss.temperature)
    for part, blocks in _columns(len(gold), len(student.weight), gold.device.type):
        of_weight = _Sum(gradients.weight, part)
        for block in blocks:
            raw = student.logits(block, part)
            own_tile = own.rows(block).shifted(
                _scaled(raw, loss.temperature, dtype, copy=True), gold[block], part.start
            )
            teacher_tile = _scaled(teacher.logits(block, part), loss.temperature, dtype)
            teacher_tile = loss.teacher_odds.rows(block).shifted(teacher_tile, gold[block], part.start)
            p = teacher_tile.exp().div_(loss.teacher_odds.total[block].unsqueeze(1))
            ratio = teacher_tile.sub_(own_tile).nan_to_num_(nan=0).clamp_(-furthest(p), furthest(p)).sub_(shift[block])
            diverging[block] += vecdot(p, ratio)
            if not gradients.wanted:
                continue
            q = own_tile.exp_().div_(own.total[block].unsqueeze(1))
            whole = torch.sub(q, p, out=p).mul_(loss.diversity[block].unsqueeze(1))
            whole.addcmul_(q, of_odds[block].unsqueeze(1), value=-1)
            at, inside = place(whole, gold[block], part.start)
            whole.scatter_(1, at, torch.where(inside, of_odds[block], whole.gather(1, at).squeeze(1)).unsqueeze(1))
            whole.mul_(factors[block].unsqueeze(1))
            whole = whole if loss.counted is None else whole.masked_fill_(~loss.counted[block].unsqueeze(1), 0)
            whole = clamped_to_dtype(student.before_projection(whole, raw), raw.dtype, 1.0).to(raw.dtype)
            _further(gradients, of_weight, whole, student, block, part)
        of_weight.finish()
    return _where(loss.counted, loss.target * binary_kl(y, x) + loss.diversity * diverging)


def _further(
    gradients: Gradients, of_weight: "_Sum", whole: Tensor, student: Projection, block: slice, part: slice
) -> None:
    """Adds the gradients that follow from the gradient in the logits of a tile."""
    if gradients.hidden is not None:
        found = gradients.hidden[block]
        if found.dtype == whole.dtype:
            found.addmm_(whole, student.weight[part])
        else:
            found += whole @ student.weight[part]
    if gradients.bias is not None:
        gradients.bias[part] += whole.sum(0, dtype=gradients.bias.dtype)
    of_weight.add(whole, student.hidden[block])


class _Sum:
    """The gradient of some entries of the weight, summed up over blocks of tokens, in float32 if that is wider."""

    def __init__(self, whole: Tensor | None, part: slice) -> None:
        self._target = None if whole is None else whole[part]
        self._wide: Tensor | None = None

    def add(self, of_logits: Tensor, hidden: Tensor) -> None:
        """Adds a block."""
        if self._target is None:
            return
        if self._target.dtype in (torch.float32, torch.float64):
            self._target.addmm_(of_logits.T, hidden)
            return
        found = (of_logits.T @ hidden).float()
        self._wide = found if self._wide is None else self._wide.add_(found)

    def finish(self) -> None:
        """Writes the sum."""
        if self._target is not None and self._wide is not None:
            self._target.copy_(self._wide)


def _where(counted: Tensor | None, rows: Vector) -> Vector:
    return rows if counted is None else torch.where(counted, rows, 0)


def _scaled(tile: Tensor, temperature: float, dtype: torch.dtype, copy: bool = False) -> Tensor:
    tile = tile.to(dtype, copy=copy)
    return tile if temperature == 1 else tile.div_(temperature)


def _block(device: str) -> int:
    return _BLOCK_ON_CPU if device == "cpu" else _BLOCK


def _entries(rows: int, device: str) -> int:
    return max(1, (_TILE_ON_CPU if device == "cpu" else _TILE) // max(1, min(rows, _block(device))))


def _slices(size: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


def _tiles(rows: int, choices: int, device: str) -> Iterator[tuple[slice, slice]]:
    for part, blocks in _columns(rows, choices, device):
        for block in blocks:
            yield block, part


def _columns(rows: int, choices: int, device: str) -> Iterator[tuple[slice, list[slice]]]:
    """Some entries of the vocabulary at a time, and for each of these all rows, block by block."""
    blocks = _slices(rows, _block(device))
    for part in _slices(choices, _entries(rows, device)):
        yield part, blocks
