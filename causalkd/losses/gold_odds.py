"""What a model says about the gold token of each row: its log-odds, and its uncertainty.

All of it comes from the log-odds of the gold token, x: the logit of that token minus the logsumexp of the others.
1 − p(gold) itself is 0 in float32 for a confident teacher, and its logarithm would not be finite.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causalkd.losses.chunked import loss_of_rows
from causalkd.losses.divergence import Loss, Rows, log_normaliser
from causalkd.losses.fused import tiled_odds_of
from causalkd.losses.odds import Odds, furthest
from causalkd.losses.predictions import Predictions, Unprojected

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
    """What a teacher's pass over its predictions found, from which a loss of the same rows can go on.

    Attributes:
        log_odds: Those of the gold token; 0 where the mask is false.
        odds: What they were made of; None where the logits themselves were given.
        logits: What the teacher predicted.
        gold: The gold token of each row.
        temperature: What divided the logits.
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
        """What the log-odds were made of.

        Raises:
            ValueError: It was found of other predictions or gold tokens, or at another temperature.
        """
        if logits is not self.logits or gold is not self.gold:
            raise ValueError(
                "the teacher's odds were found of other predictions or gold tokens than the loss is of; call "
                "teacher_odds with the very tensors that the loss receives"
            )
        if temperature != self.temperature:
            raise ValueError(
                f"the teacher's odds were found at temperature {self.temperature}, and the loss has {temperature}; "
                "both need the same"
            )
        return self.odds


def teacher_odds(
    logits: Predictions,
    gold: Int[Tensor, "*batch"],
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
) -> TeacherOdds:
    """The log-odds of the gold token and what they were made of; hidden states receive no gradient."""
    if isinstance(logits, Unprojected):
        odds = tiled_odds_of(logits, known(gold, mask), temperature)
        found = odds.log_odds if mask is None else torch.where(mask, odds.log_odds, 0)
        return TeacherOdds(found, odds, logits, gold, temperature)
    given = logits if isinstance(logits, Tensor) else logits.whole()
    found = loss_of_rows(_log_odds, given, (known(gold, mask),), mask, temperature)
    return TeacherOdds(found, None, logits, gold, temperature)


def uncertainty(
    teacher_logits: Predictions,
    gold: Int[Tensor, "*batch"],
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
) -> Float[Tensor, "*batch"]:
    """UNC, the probability off the gold token; means nothing where the mask is false."""
    return teacher_odds(teacher_logits, gold, mask, temperature).uncertainty


def known(gold: Tensor, mask: Tensor | None) -> Tensor:
    """Some token where none counts: what is at −100 cannot be looked up."""
    return gold if mask is None else gold.where(mask, 0)


def _log_odds(logits: Rows, gold: Gold) -> Loss:
    others, most = others_of(logits, gold)
    q = others.softmax(-1)
    odds = odds_of(logits, gold, most + log_normaliser(others, q))
    return odds, lambda: with_gold(q, torch.zeros_like(q), torch.ones_like(odds), gold)


def others_of(logits: Rows, gold: Gold) -> tuple[Rows, Vector]:
    """The logits of all tokens but the gold one, which goes to −inf, relative to the largest of them; and that one.

    The others stay finite. Relative to their largest, logits keep their digits where all of them are far below zero:
    where a teacher rules out everything but the gold token, its others are equally likely.
    """
    others = logits.clamp(min=-furthest(logits)).scatter_(1, gold.unsqueeze(1), -torch.inf)
    most = others.amax(-1, keepdim=True)
    return others.sub_(most), most.squeeze(1)


def odds_of(logits: Rows, gold: Gold, log_others: Vector) -> Vector:
    """The log-odds of each row's gold token, from the logsumexp of its others."""
    return logits.gather(1, gold.unsqueeze(1)).squeeze(1).clamp(min=-furthest(logits)) - log_others


def with_gold(q: Rows, of_others: Rows, of_odds: Vector, gold: Gold) -> Rows:
    """The gradient in all logits, from that in the others' distribution and that in the log-odds of the gold token."""
    whole = of_others.addcmul_(q, of_odds.unsqueeze(1), value=-1)
    return whole.scatter_(1, gold.unsqueeze(1), of_odds.unsqueeze(1))
