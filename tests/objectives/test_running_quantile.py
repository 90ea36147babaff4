"""The running quantile: a batch's own at first, then that of what was seen before; fixed within a step."""

import torch
from torch import Tensor

from causalkd.losses.decoupled import hard_tokens
from causalkd.objectives.running_quantile import RunningQuantile


def _odds(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    values = 4 * torch.randn(count, generator=torch.Generator().manual_seed(seed))
    return values, torch.arange(count) % 5 > 0


def test_the_first_step_is_split_at_its_own_quantile() -> None:
    odds, mask = _odds(40)
    for fraction in (0.3, 0.5, 1.0):
        for remember in (False, True):
            assert torch.equal(RunningQuantile(fraction)(odds, mask, 0, remember), hard_tokens(odds, mask, fraction))


def test_later_steps_are_split_at_the_quantile_of_what_was_seen() -> None:
    quantile = RunningQuantile(0.5)
    seen = [_odds(200, seed) for seed in range(20)]
    for step, (odds, mask) in enumerate(seen):
        quantile(odds, mask, step, True)
    threshold = torch.cat([odds[mask] for odds, mask in seen[:-1]]).median()
    one = torch.tensor([threshold - 0.5, threshold + 0.5])
    assert quantile(one, torch.tensor([True, True]), 20, False).tolist() == [False, True]
    assert quantile(one, torch.tensor([True, False]), 20, False).tolist() == [False, False]


def test_the_split_is_fixed_within_a_step() -> None:
    whole, parts = RunningQuantile(0.5), RunningQuantile(0.5)
    first, mask = _odds(40)
    whole(first, mask, 0, True)
    parts(first, mask, 0, True)
    odds, mask = _odds(40, seed=1)
    of_parts = [parts(odds[i : i + 10] + 0, mask[i : i + 10], 1, True) for i in range(0, 40, 10)]
    assert torch.equal(torch.cat(of_parts), whole(odds, mask, 1, True))
    assert torch.equal(parts.present, whole.present) and torch.equal(parts.past, whole.past)


def test_it_forgets() -> None:
    quantile = RunningQuantile(0.5, memory=2.0)
    for step in range(30):
        quantile(torch.full((10,), -5.0 if step < 10 else 5.0), torch.ones(10, dtype=torch.bool), step, True)
    assert not quantile(torch.tensor([0.0]), torch.tensor([True]), 30, False).any()


def test_only_what_is_to_be_remembered_is() -> None:
    quantile = RunningQuantile(0.5)
    quantile(*_odds(40), 0, False)
    assert quantile.present.sum() == 0 and quantile.past.sum() == 0


def test_it_resumes_from_its_state() -> None:
    quantile, untrained_student = RunningQuantile(0.5), RunningQuantile(0.5)
    for step in range(3):
        quantile(*_odds(40, step), step, True)
    untrained_student.load_state_dict(quantile.state_dict())
    odds, mask = _odds(40, 7)
    assert torch.equal(untrained_student(odds, mask, 3, True), quantile(odds, mask, 3, True))
    assert torch.equal(untrained_student.past, quantile.past)


def test_log_odds_without_bounds() -> None:
    """A gold token that the teacher rules out is as hard as can be, and one it is sure of as easy."""
    quantile, mask = RunningQuantile(0.5), torch.ones(4, dtype=torch.bool)
    least = torch.finfo(torch.float32).min
    for odds in ([torch.inf, 1.0, -1.0, -torch.inf], [-least, 1.0, -1.0, least], [1e17, 1.0, -1.0, -1e17]):
        for step in range(2):
            assert quantile(torch.tensor(odds), mask, step, True).tolist() == [True, True, True, False]


def test_all_that_counts_is_hard_where_the_share_is_one() -> None:
    quantile = RunningQuantile(1.0)
    for step in range(3):
        odds, mask = _odds(40, step)
        assert torch.equal(quantile(odds - 10 * step, mask, step, True), mask)
