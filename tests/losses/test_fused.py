"""Losses from hidden states are those of logits: values and all gradients, whatever the head and the chunk."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from causalkd.losses import chunked, divergence, fused_pass, tiled_pass
from causalkd.losses.decoupled import atkd, dkd, hard_tokens
from causalkd.losses.fused import RowLoss, fused_total
from causalkd.losses.gold_odds import log_odds, teacher_odds, uncertainty
from causalkd.losses.task import task_loss, token_rows
from tests.losses.heads import Head, head

ROWS = (3, 4)
MASK = torch.arange(12).view(ROWS) % 3 > 0
GOLD = torch.randint(11, ROWS, generator=torch.Generator().manual_seed(3)).where(MASK, -100)
HARD = torch.arange(12).view(ROWS) % 2 > 0
Loss = Callable[[Any, Any], Tensor]
"""(student's predictions, teacher's) → scalar."""
LOSSES: dict[str, Loss] = {
    "forward_kl": lambda s, t: divergence.forward_kl(s, t, MASK, 2.0),
    "forward_kl_everywhere": lambda s, t: divergence.forward_kl(s, t),
    "forward_kl_weighted": lambda s, t: divergence.forward_kl(s, t, MASK, 2.0, torch.linspace(0.1, 2, 12).view(ROWS)),
    "reverse_kl": lambda s, t: divergence.reverse_kl(s, t, MASK, 2.0),
    "jensen_shannon": lambda s, t: divergence.jensen_shannon(s, t, MASK, 0.5, 0.3),
    "total_variation": lambda s, t: divergence.total_variation(s, t, MASK, 2.0),
    "skewed_forward_kl": lambda s, t: divergence.skewed_forward_kl(s, t, MASK),
    "skewed_reverse_kl": lambda s, t: divergence.skewed_reverse_kl(s, t, MASK),
    "atkd": lambda s, t: atkd(s, t, GOLD, hard_tokens(uncertainty(t, GOLD, MASK), MASK), MASK, 1.5),
    "atkd_in_tiles": lambda s, t: _in_tiles(s, t),
    "atkd_reverse": lambda s, t: atkd(s, t, GOLD, HARD, MASK, 1.0, 0.3, reverse=True),
    "dkd": lambda s, t: dkd(s, t, GOLD, MASK, 2.0, 0.7, 1.3),
    "task": lambda s, t: token_rows(s, GOLD).value(),
}


def _in_tiles(student: Any, teacher: Any) -> Tensor:
    taught = teacher_odds(teacher, GOLD, MASK, 1.5)
    return atkd(student, teacher, GOLD, hard_tokens(taught.uncertainty, MASK), MASK, 1.5, teacher_odds=taught)


HEADS: tuple[dict[str, Any], ...] = ({}, {"bias": False, "scale": 0.25}, {"cap": 1.5, "scale": 2.0})
TOLERANCES = {torch.float64: 1e-10, torch.float32: 32 * torch.finfo(torch.float32).eps}
"""Of the largest value: a gradient is a sum of some hundred products, each of which is rounded."""


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("elements", [22, 2**22])
@pytest.mark.parametrize("name", LOSSES)
def test_it_is_the_loss_of_the_logits(
    name: str, elements: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused_pass, "_CHUNK_ON_CPU", elements)  # two rows, or all
    monkeypatch.setattr(chunked, "_CHUNK_ON_CPU", elements // 2)
    monkeypatch.setattr(tiled_pass, "_BLOCK_ON_CPU", elements // 4)  # five rows, or all
    monkeypatch.setattr(tiled_pass, "_TILE_ON_CPU", elements)  # four entries, or all
    tolerance = TOLERANCES[dtype]
    for settings in HEADS:
        student = head(*ROWS, **settings, dtype=dtype)
        teacher = head(*ROWS, width=7, seed=1, **settings, dtype=dtype, learns=False)
        expected = LOSSES[name](student.whole(), teacher.whole())
        for taught in (teacher, teacher.whole()):
            found = LOSSES[name](student, taught)
            torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
            pairs = zip(_gradients(3 * found, student), _gradients(3 * expected, student), strict=True)
            for own, plain in pairs:
                torch.testing.assert_close(own, plain, rtol=0, atol=tolerance * float(plain.abs().max()))


def _gradients(loss: Tensor, student: Head) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, student.leaves(), retain_graph=True)


@pytest.mark.seconds
@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_that_of_small_changes(name: str) -> None:
    teacher = head(*ROWS, seed=1, learns=False)
    given = head(*ROWS, cap=2.0)
    assert torch.autograd.gradcheck(
        lambda *leaves: LOSSES[name](Head(*leaves, cap=2.0), teacher), given.leaves(), eps=1e-6, atol=1e-7
    )


def test_losses_that_share_a_pass_are_those_of_one_after_another() -> None:
    student, teacher = head(*ROWS), head(*ROWS, seed=1, learns=False)
    losses = [
        RowLoss(student, divergence.kernel_of("forward_kl"), (teacher,), MASK, temperature=2.0, factor=4.0),
        RowLoss(student, divergence.kernel_of("jensen_shannon"), (teacher,)),
        token_rows(student, GOLD),
    ]
    weights = [0.5, 2.0, 0.0]
    total, found = fused_total(losses, weights)
    alone = [loss.value() for loss in losses]
    expected = torch.stack([weight * loss for weight, loss in zip(weights, alone, strict=True)]).sum()
    torch.testing.assert_close(torch.stack(found), torch.stack(alone), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(total, expected, rtol=1e-12, atol=1e-12)
    assert not any(each.requires_grad for each in found)
    for own, plain in zip(_gradients(total, student), _gradients(expected, student), strict=True):
        torch.testing.assert_close(own, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_rows_that_do_not_count_may_hold_anything(name: str) -> None:
    if name == "forward_kl_everywhere":
        return
    teacher = head(*ROWS, seed=1, learns=False)
    found = []
    for filler in (0.5, torch.nan):
        drawn = head(*ROWS)
        hidden = torch.where(MASK[..., None], drawn.hidden.detach(), filler).requires_grad_()
        student = Head(hidden, drawn.weight, drawn.bias)
        loss = LOSSES[name](student, teacher)
        found.append((loss, *_gradients(loss, student)[:1]))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=0, atol=0)
    torch.testing.assert_close(found[1][1], found[0][1], rtol=0, atol=0)


def test_where_none_counts_loss_and_gradient_are_zero() -> None:
    student, teacher = head(*ROWS), head(*ROWS, seed=1, learns=False)
    loss = divergence.forward_kl(student, teacher, torch.zeros(ROWS, dtype=torch.bool))
    assert loss == 0 and not any(gradient.any() for gradient in _gradients(loss, student))


def test_no_row() -> None:
    student, teacher = head(0), head(0, seed=1, learns=False)
    loss = divergence.forward_kl(student, teacher)
    assert loss == 0 and not any(gradient.any() for gradient in _gradients(loss, student))


def test_at_agreement_it_is_zero() -> None:
    student = head(*ROWS)
    teacher = Head(
        student.hidden.detach(), student.weight.detach(), None if student.bias is None else student.bias.detach()
    )
    loss = divergence.forward_kl(student, teacher, MASK)
    assert loss == 0 and not any(gradient.any() for gradient in _gradients(loss, student))


def test_a_frozen_head_gets_no_gradient() -> None:
    given = head(*ROWS)
    student = Head(given.hidden, given.weight.detach(), None if given.bias is None else given.bias.detach())
    loss = divergence.forward_kl(student, head(*ROWS, seed=1, learns=False))
    plain = divergence.forward_kl(given.whole(), head(*ROWS, seed=1, learns=False).whole())
    own, expected = (torch.autograd.grad(each, given.hidden)[0] for each in (loss, plain))
    torch.testing.assert_close(own, expected, rtol=1e-12, atol=1e-12)


def test_without_gradients_none_is_made() -> None:
    with torch.no_grad():
        assert not divergence.forward_kl(head(*ROWS), head(*ROWS, seed=1)).requires_grad
        odds = log_odds(head(*ROWS), GOLD, MASK)
    torch.testing.assert_close(odds, log_odds(head(*ROWS).whole().detach(), GOLD, MASK), rtol=1e-12, atol=1e-12)


def test_a_teacher_that_wants_a_gradient_is_refused() -> None:
    with pytest.raises(ValueError, match="the teacher's logits require a gradient"):
        divergence.forward_kl(head(*ROWS), head(*ROWS, seed=1))


def test_another_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match=r"of shape \(3, 4, 11\), .* is of shape \(3, 4, 12\)"):
        divergence.forward_kl(head(*ROWS), head(*ROWS, choices=12, learns=False))


def test_students_of_different_runs_are_refused() -> None:
    losses = [token_rows(head(*ROWS, seed=seed), GOLD) for seed in (0, 1)]
    with pytest.raises(ValueError, match="must be of the same student's predictions"):
        fused_total(losses)


def test_the_gradient_of_a_retained_graph() -> None:
    student, teacher = head(*ROWS), head(*ROWS, seed=1, learns=False)
    loss = divergence.forward_kl(student, teacher)
    first = torch.autograd.grad(loss, student.leaves(), retain_graph=True)
    first[0].mul_(100)
    second = torch.autograd.grad(2 * loss, student.leaves())
    expected = torch.autograd.grad(divergence.forward_kl(student.whole(), teacher.whole()), student.leaves())
    for own, plain in zip(second, expected, strict=True):
        torch.testing.assert_close(own, 2 * plain, rtol=1e-12, atol=1e-12)
    with pytest.raises(RuntimeError, match="give retain_graph=True the first time"):
        loss.backward()


def test_a_second_derivative_is_refused() -> None:
    student, teacher = head(*ROWS), head(*ROWS, seed=1, learns=False)
    with pytest.raises(NotImplementedError, match=r"no second derivative \(create_graph=True\)"):
        torch.autograd.grad(divergence.forward_kl(student, teacher), student.hidden, create_graph=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    student, teacher = head(*ROWS, dtype=dtype), head(*ROWS, seed=1, dtype=dtype, learns=False)
    wide = Head(*(each.detach().float().requires_grad_() for each in student.leaves()))
    loss = divergence.forward_kl(student, teacher, MASK)
    plain = divergence.forward_kl(wide, Head(*(each.float() for each in teacher.leaves())), MASK)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, plain, rtol=0.05, atol=0.01)
    for own, expected in zip(_gradients(loss, student), _gradients(plain, wide), strict=True):
        assert own.dtype == dtype
        torch.testing.assert_close(own.float(), expected, rtol=0.05, atol=0.02)


def test_float16_keeps_the_gradients_of_many_rows() -> None:
    # A mean over so many rows has gradients in the logits that float16 rounds to zero; they are scaled in backward.
    student, teacher = head(2000, dtype=torch.float16), head(2000, seed=1, dtype=torch.float16, learns=False)
    small = torch.full((2000,), 1e-6)
    loss = divergence.forward_kl(student, teacher, weights=small)
    gradient = torch.autograd.grad(2.0**24 * loss, student.hidden)[0].float()
    wide = Head(*(each.detach().float().requires_grad_() for each in student.leaves()))
    plain = divergence.forward_kl(wide, Head(*(each.float() for each in teacher.leaves())), weights=small)
    expected = torch.autograd.grad(2.0**24 * plain, wide.hidden)[0]
    assert (gradient - expected).norm() < 0.01 * expected.norm()


def test_the_task_loss_is_torchs_cross_entropy() -> None:
    logits = head(*ROWS).whole().detach().requires_grad_()
    found, expected = token_rows(logits, GOLD).value(), task_loss("masked_lm", logits, GOLD)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    own, plain = (torch.autograd.grad(each, logits)[0] for each in (found, expected))
    torch.testing.assert_close(own, plain, rtol=1e-12, atol=1e-12)


def test_a_tied_weight_gets_the_gradients_of_both_its_uses() -> None:
    embedding = torch.randn(11, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    tokens = torch.arange(12).view(ROWS) % 11
    teacher = head(*ROWS, seed=1, learns=False)
    ways: list[Callable[[Tensor], Any]] = [partial(Head, weight=embedding), lambda hidden: hidden @ embedding.T]
    found = []
    for project in ways:
        loss = divergence.forward_kl(project(embedding[tokens].tanh()), teacher)
        found.append(torch.autograd.grad(loss, embedding)[0])
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-12)
