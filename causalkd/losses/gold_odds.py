"""A model's log-odds of the gold token of each row, and its uncertainty about it.

All of it comes from the log-odds of the gold token, x: the logit of that token minus the logsumexp of the others.
1 − p(gold) itself is 0 in float32 for a confident teacher, and its logarithm would not be finite.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causalkd.losses.chunked import loss_of_rows
from causalkd.losses.divergence import Loss, Rows
from causalkd.losses.fused import tiled_odds_of
from causalkd.losses.predictions import Predictions, Unprojected
from causalkd.losses.tiled_odds import Odds, furthest

Vector = Float[Tensor, " row"]
Gold = Int[Tensor, " row"]


def log_odds(
    logits: Predictions,
    gold: Int[Tensor, "*batch"],
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
) -> Float[Tensor, "*batch"]:
    """The log-odds of the gold token, log p(g) − log(1 − p(g)); 0 where the mask is false."""
    return teacher_odds(logits, gold, mask, temperature).log_odds


class TeacherOdds(NamedTuple):
    """The result of a pass over a teacher's predictions, from which a loss of the same rows can go on.

    Attributes:
        log_odds: The log-odds of the gold token; 0 where the mask is false.
        odds: The sums that they were made of; None if the logits themselves were given.
        logits: The teacher's predictions.
        gold: The gold token of each row.
        temperature: T, which divided the logits.
    """

    log_odds: Float[Tensor, "*batch"]
    odds: Odds | None
    logits: Predictions
    gold: Int[Tensor, "*batch"]
    temperature: float

    @property
    def uncertainty(self) -> Float[Tensor, "*batch"]:
        """UNC, the probability off the gold token; means nothing where the mask is false."""
        return torch.sigmoid(-self.log_odds)

    def checked(self, logits: Predictions, gold: Int[Tensor, "*batch"], temperature: float) -> Odds | None:
        """The sums that the log-odds were made of.

        Raises:
            ValueError: They belong to other predictions or gold tokens, or to another temperature.
        """
        if logits is not self.logits or gold is not self.gold:
            raise ValueError(
                "the teacher's odds belong to other predictions or gold tokens than the loss has; call teacher_odds "
                "with the same tensors that the loss receives"
            )
        if temperature != self.temperature:
            raise ValueError(
                f"the teacher's odds belong to temperature {self.temperature}, but the loss has {temperature}; both "
                "need the same"
            )
        return self.odds


def teacher_odds(
    logits: Predictions,
    gold: Int[Tensor, "*batch"],
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
) -> TeacherOdds:
    """The log-odds of the gold token and the sums that they were made of; hidden states receive no gradient."""
    if isinstance(logits, Unprojected):
        odds = tiled_odds_of(logits, safe_gold(gold, mask), temperature)
        found = odds.log_odds if mask is None else torch.where(mask, odds.log_odds, 0)
        return TeacherOdds(found, odds, logits, gold, temperature)
    given = logits if isinstance(logits, Tensor) else logits.whole()
    found = loss_of_rows(_log_odds, given, (safe_gold(gold, mask),), mask, temperature)
    return TeacherOdds(found, None, logits, gold, temperature)


def uncertainty(
    teacher_logits: Predictions,
    gold: Int[Tensor, "*batch"],
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
) -> Float[Tensor, "*batch"]:
    """UNC, the probability off the gold token; means nothing where the mask is false."""
    return teacher_odds(teacher_logits, gold, mask, temperature).uncertainty


def safe_gold(gold: Tensor, mask: Tensor | None) -> Tensor:
    """The gold tokens, with token 0 where the mask is false: −100 cannot be looked up."""
    return gold if mask is None else gold.where(mask, 0)


def _log_odds(logits: Rows, gold: Gold) -> Loss:
    others = Others.of(logits, gold)
    odds = others.log_odds
    return odds, lambda: with_gold(others.softmax_(), torch.zeros_like(logits), torch.ones_like(odds), gold)


class Others(NamedTuple):
    """The logits of some rows, split into those of all other tokens and that of the gold token.

    All logits are stored relative to the largest of the other logits. This keeps their digits if all others are far
    below zero: if a teacher rules out everything but the gold token, its others are equally likely.

    Attributes:
        relative: The logits, less the largest of the others; −inf at the gold token, finite elsewhere.
        powers: Their exponentials.
        total: The sum of these.
        relative_gold: The logit of the gold token, less the largest of the others.
    """

    relative: Rows
    powers: Rows
    total: Vector
    relative_gold: Vector

    @classmethod
    def of(cls, logits: Rows, gold: Gold) -> "Others":
        """Reads logits, infinite ones included, without changing them."""
        at = gold.unsqueeze(1)
        relative = logits.clamp(min=-furthest(logits))
        own = relative.gather(1, at)
        most = relative.scatter_(1, at, -torch.inf).amax(-1, keepdim=True)
        powers = relative.sub_(most).exp()
        return cls(relative, powers, powers.sum(-1), (own - most).squeeze(1))

    @property
    def log_odds(self) -> Vector:
        """The log-odds of the gold token: its logit minus the logsumexp of the others."""
        return self.relative_gold - self.total.log()

    def softmax_(self) -> Rows:
        """The distribution over the others, 0 at the gold token; it overwrites the powers."""
        return self.powers.div_(self.total.unsqueeze(1))

    def log_ratio(self, other: "Others", gold: Gold) -> Rows:
        """The logarithm of this distribution over the other one: exactly 0 where they are equal, finite everywhere."""
        apart = (self.relative - other.relative).add_((other.total.log() - self.total.log()).unsqueeze(1))
        return apart.scatter_(1, gold.unsqueeze(1), 0)


def with_gold(q: Rows, of_others: Rows, of_odds: Vector, gold: Gold) -> Rows:
    """The gradient in all logits, from that in the others' distribution and that in the log-odds of the gold token."""
    whole = of_others.addcmul_(q, of_odds.unsqueeze(1), value=-1)
    return whole.scatter_(1, gold.unsqueeze(1), of_odds.unsqueeze(1))
