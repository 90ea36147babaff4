"""Odds that are made tile by tile are those of whole rows, also where everything but the gold token is ruled out."""

import pytest
import torch

from causalkd.losses.tiled_odds import Odds


@pytest.mark.parametrize("width", [1, 3, 7])
def test_tiles_add_up(width: int) -> None:
    logits = 5 * torch.randn(6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits[0, 1:] = -torch.inf
    logits[1, :3] = -torch.inf
    gold = torch.tensor([0, 3, 6, 1, 2, 5])
    found = Odds.of_nothing(6, logits)
    for start in range(0, 7, width):
        found.add(logits[:, start : start + width].clone(), gold, start)
    own = logits.gather(1, gold[:, None]).squeeze(1)
    others = logits.scatter(1, gold[:, None], -torch.inf)
    torch.testing.assert_close(found.gold, own, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.log_odds[1:], (own - others.logsumexp(1))[1:], rtol=1e-12, atol=1e-12)
    assert found.total[0].item() == 6 and found.log_odds[0] > 1e100
