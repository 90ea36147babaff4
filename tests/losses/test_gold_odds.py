"""What a teacher says about the gold tokens: the same from hidden states, and refused where it is of something else."""

import pytest
import torch

from causalkd.losses.decoupled import atkd
from causalkd.losses.gold_odds import log_odds, teacher_odds, uncertainty
from tests.losses.heads import head

GOLD = torch.arange(12).view(3, 4) % 11
MASK = GOLD > 2


@pytest.mark.parametrize("settings", [{}, {"cap": 1.5, "scale": 2.0}])
def test_hidden_states_give_the_odds_of_the_logits(settings: dict) -> None:
    given = head(3, 4, **settings, learns=False)
    found, plain = (log_odds(each, GOLD, MASK, 2.0) for each in (given, given.whole()))
    torch.testing.assert_close(found, plain, rtol=1e-12, atol=1e-12)
    assert not found[~MASK].any()
    torch.testing.assert_close(uncertainty(given, GOLD), 1 - log_odds(given.whole(), GOLD).sigmoid())


def test_odds_of_something_else_are_refused() -> None:
    student, teacher = head(3, 4), head(3, 4, seed=1, learns=False)
    taught = teacher_odds(teacher, GOLD, None, 2.0)
    with pytest.raises(ValueError, match=r"belong to temperature 2\.0, but the loss has 1\.0"):
        atkd(student, teacher, GOLD, MASK, teacher_odds=taught)
    for other in ((head(3, 4, seed=2, learns=False), GOLD), (teacher, GOLD.clone())):
        with pytest.raises(ValueError, match="belong to other predictions or gold tokens"):
            atkd(student, *other, MASK, temperature=2.0, teacher_odds=taught)
