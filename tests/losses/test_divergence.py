"""Forward KL: zero at agreement, its value and gradient against a loop, what is masked is not there."""

import math

import pytest
import torch
from torch import Tensor

from causalkd.losses.divergence import forward_kl


def _logits(*shape: int, seed: int = 0) -> Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _oracle(student: Tensor, teacher: Tensor, mask: Tensor, temperature: float) -> Tensor:
    rows = []
    for s, t in zip(student[mask], teacher[mask], strict=True):
        p, q = (each.div(temperature).exp() / each.div(temperature).exp().sum() for each in (t, s))
        rows.append((p * (p / q).log()).sum())
    return torch.stack(rows).mean()


def test_zero_at_agreement() -> None:
    logits = _logits(3, 4, 7)
    assert forward_kl(logits, logits).abs().item() < 1e-15
    # A constant added to every logit of a position changes no probability.
    assert forward_kl(logits + _logits(3, 4, 1, seed=1), logits).abs().item() < 1e-14


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_value_and_gradient_equal_a_loop(temperature: float) -> None:
    student, teacher = _logits(3, 4, 7).requires_grad_(), _logits(3, 4, 7, seed=1)
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
    fast, slow = (f(student, teacher, mask, temperature) for f in (forward_kl, _oracle))
    gradients = [torch.autograd.grad(loss, student)[0] for loss in (fast, slow)]
    assert fast.item() > 0
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-12, atol=1e-12)


def test_it_is_the_teachers_expectation() -> None:
    certain, even = torch.tensor([[40.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    assert forward_kl(even, certain).item() == pytest.approx(math.log(2))
    assert forward_kl(certain, even).item() > 10  # the student rules out what the teacher does not


def test_gradcheck() -> None:
    student, teacher = _logits(2, 3, 5).requires_grad_(), _logits(2, 3, 5, seed=1)
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]], dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda logits: forward_kl(logits, teacher, mask, 2.0), student)


@pytest.mark.parametrize("outside", [math.nan, math.inf])
def test_padding_changes_nothing(outside: float) -> None:
    student, teacher = _logits(2, 3, 5), _logits(2, 3, 5, seed=1)
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]], dtype=torch.bool)
    dirty = student.masked_fill(~mask[..., None], outside).requires_grad_()
    loss = forward_kl(dirty, teacher.masked_fill(~mask[..., None], outside), mask)
    assert torch.equal(loss, forward_kl(student, teacher, mask))
    loss.backward()
    assert dirty.grad is not None
    assert torch.equal(dirty.grad[mask].isfinite(), torch.ones_like(dirty.grad[mask], dtype=torch.bool))


def test_all_masked() -> None:
    student = _logits(2, 3, 5).requires_grad_()
    loss = forward_kl(student, _logits(2, 3, 5, seed=1), torch.zeros(2, 3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0
    assert student.grad is not None and student.grad.abs().sum() == 0


def test_large_logits_stay_finite() -> None:
    student = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = forward_kl(student, torch.tensor([[-1e4, 1e4, 0.0]]))
    loss.backward()
    assert loss.isfinite() and student.grad is not None and student.grad.isfinite().all()
