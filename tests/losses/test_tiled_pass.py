"""A decoupled loss in tiles: of logits only tiles exist, and rows that rule tokens out have the loss of whole rows."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from causalkd.losses import tiled_pass
from causalkd.losses.decoupled import atkd, hard_tokens
from causalkd.losses.gold_odds import teacher_odds
from tests.losses.heads import Head, head

TOKENS, WIDTH, CHOICES = 64, 4, 50
GOLD = torch.arange(TOKENS) % CHOICES


class _Largest(TorchDispatchMode):
    """Notes the most numbers that an operation's new tensor holds."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor):
            self.numbers = max(self.numbers, made.numel())
        return made


def _atkd(student: Any, teacher: Any) -> Tensor:
    taught = teacher_odds(teacher, GOLD)
    return atkd(student, teacher, GOLD, hard_tokens(taught.uncertainty), teacher_odds=taught)


def test_only_tiles_of_logits_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiled_pass, "_BLOCK_ON_CPU", 32)
    monkeypatch.setattr(tiled_pass, "_TILE_ON_CPU", 32 * 5)
    student = head(TOKENS, width=WIDTH, choices=CHOICES)
    teacher = head(TOKENS, width=WIDTH, choices=CHOICES, seed=1, learns=False)
    with _Largest() as seen:
        _atkd(student, teacher).backward()
    assert seen.numbers == max(TOKENS, CHOICES) * WIDTH < TOKENS * CHOICES // 10


@pytest.mark.parametrize("ruled_out", [slice(3, 20), slice(1, None)])
def test_a_head_that_rules_tokens_out(ruled_out: slice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiled_pass, "_TILE_ON_CPU", 7 * TOKENS)
    models = [head(TOKENS, width=WIDTH, choices=CHOICES, seed=seed, learns=seed == 0) for seed in (0, 1)]
    for each in models:
        assert each.bias is not None
        each.bias.data[ruled_out] = -torch.inf
    student, teacher = models
    found, expected = _atkd(student, teacher), _atkd(student.whole(), teacher.whole())
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    of = (student.hidden, student.weight)
    for own, plain in zip(*(torch.autograd.grad(each, of) for each in (found, expected)), strict=True):
        torch.testing.assert_close(own, plain, rtol=1e-10, atol=1e-10)


def test_the_gradient_of_a_half_precision_head_is_added_up_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiled_pass, "_BLOCK_ON_CPU", 1)
    student = head(TOKENS, width=WIDTH, choices=CHOICES, dtype=torch.bfloat16)
    teacher = head(TOKENS, width=WIDTH, choices=CHOICES, seed=1, dtype=torch.bfloat16, learns=False)
    wide = Head(*(each.detach().double().requires_grad_() for each in student.leaves()))
    taught = teacher_odds(teacher, GOLD)
    hard = hard_tokens(taught.uncertainty)
    loss = atkd(student, teacher, GOLD, hard, teacher_odds=taught)
    plain = atkd(wide, Head(*(each.double() for each in teacher.leaves())), GOLD, hard)
    for own, expected in zip(
        torch.autograd.grad(loss, student.leaves()), torch.autograd.grad(plain, wide.leaves()), strict=True
    ):
        assert own.dtype == torch.bfloat16
        assert (own.double() - expected).norm() < 0.01 * expected.norm()
