"""The log-odds of a token, from its logit and a normaliser of all others that is made tile by tile.

A tile holds the logits of some rows and some entries of the vocabulary. The normaliser of a row's other logits is kept
as the largest of them and the sum of their exponentials relative to it, which keeps the digits of rows whose others are
all ruled out.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

Rows = Float[Tensor, "row choice"]
Vector = Float[Tensor, " row"]


def furthest(like: Tensor) -> float:
    """A finite substitute for infinity; the sum of many of them is still finite."""
    return math.sqrt(torch.finfo(like.dtype).max)


def binary_kl(y: Vector, x: Vector) -> Vector:
    """KL between a yes with log-odds y and one with log-odds x."""
    yes, no = F.logsigmoid(y) - F.logsigmoid(x), F.logsigmoid(-y) - F.logsigmoid(-x)
    return y.sigmoid() * yes + torch.sigmoid(-y) * no


class Odds(NamedTuple):
    """The logit of the gold token and the normaliser of all others, row by row.

    Attributes:
        gold: The logit of the gold token.
        most: The largest logit of the others.
        total: The sum over the others of exp(logit − most).
    """

    gold: Float[Tensor, "*batch"]
    most: Float[Tensor, "*batch"]
    total: Float[Tensor, "*batch"]

    @property
    def log_odds(self) -> Float[Tensor, "*batch"]:
        """The log-odds of the gold token: log p(g) − log(1 − p(g))."""
        return self.gold - (self.most + self.total.log())

    @classmethod
    def of_nothing(cls, rows: int, like: Tensor) -> "Odds":
        """The state before the first tile."""
        gold, most, total = (like.new_zeros(rows) for _ in range(3))
        return cls(gold, most.fill_(-torch.inf), total)

    def rows(self, rows: slice) -> "Odds":
        """The odds of some rows, in the same memory."""
        return Odds(self.gold[rows], self.most[rows], self.total[rows])

    def add(self, tile: Rows, gold: Int[Tensor, " row"], first: int) -> None:
        """Adds a tile whose first entry has this number in the vocabulary; the tile's contents are destroyed."""
        at, inside = place(tile, gold, first)
        own = tile.clamp_(min=-furthest(tile)).gather(1, at).squeeze(1)
        self.gold.copy_(torch.where(inside, own, self.gold))
        hide(tile, at, inside)
        most = torch.maximum(self.most, tile.amax(1))
        # As long as there are no others, both are −∞, and their difference is NaN.
        shift = most.where(most > -torch.inf, 0)
        self.total.mul_((self.most - shift).exp_()).add_(tile.sub_(shift.unsqueeze(1)).exp_().sum(1))
        self.most.copy_(most)

    def shifted(self, tile: Rows, gold: Int[Tensor, " row"], first: int) -> Rows:
        """A tile's logits relative to the largest of the others, the gold token's at −∞, in place."""
        hide(tile.clamp_(min=-furthest(tile)), *place(tile, gold, first))
        return tile.sub_(self.most.unsqueeze(1))


def place(tile: Rows, gold: Int[Tensor, " row"], first: int) -> tuple[Int[Tensor, "row 1"], Tensor]:
    """The index of each row's gold token in a tile, and whether it is in the tile at all."""
    at = gold - first
    inside = (at >= 0) & (at < tile.shape[1])
    return at.clamp(0, tile.shape[1] - 1).unsqueeze(1), inside


def hide(tile: Rows, at: Int[Tensor, "row 1"], inside: Tensor) -> None:
    """Overwrites the gold token's logit with −∞."""
    tile.scatter_(1, at, torch.where(inside.unsqueeze(1), -torch.inf, tile.gather(1, at)))
