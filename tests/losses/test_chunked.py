"""Losses of rows: chunks change nothing, the gradient is made once and is right however often it is asked for."""

import re

import pytest
import torch
from torch import Tensor

from causalkd.losses import chunked as rows
from causalkd.losses.divergence import forward_kl
from tests.oracles import divergence as oracle


def _logits(*shape: int, seed: int = 0) -> Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _loss_and_gradient(mask: Tensor | None) -> tuple[Tensor, Tensor]:
    student = _logits(3, 5, 7).requires_grad_()
    loss = forward_kl(student, _logits(3, 5, 7, seed=1), mask, 2.0)
    return loss, torch.autograd.grad(loss, student)[0]


@pytest.mark.parametrize("elements", [1, 14, 30])
@pytest.mark.parametrize("masked", [False, True])
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, elements: int, masked: bool) -> None:
    mask = torch.arange(15).view(3, 5) % 3 > 0 if masked else None
    whole = _loss_and_gradient(mask)
    monkeypatch.setattr(rows, "_CHUNK_ON_CPU", elements)
    chunked = _loss_and_gradient(mask)
    assert torch.equal(chunked[0], whole[0]) and torch.equal(chunked[1], whole[1])


def test_the_gradient_of_a_retained_graph() -> None:
    student, teacher = _logits(4, 7).requires_grad_(), _logits(4, 7, seed=1)
    loss = forward_kl(student, teacher)
    first, second = (torch.autograd.grad(factor * loss, student, retain_graph=True)[0] for factor in (1.0, 3.0))
    first.mul_(100)
    last = torch.autograd.grad(loss, student)[0]
    expected = torch.autograd.grad(
        oracle.mean(oracle.forward_kl, student, teacher, torch.ones(4, dtype=torch.bool)), student
    )[0]
    torch.testing.assert_close(second, 3 * expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(last, expected, rtol=1e-12, atol=1e-12)


def test_a_second_derivative_is_refused() -> None:
    student = _logits(4, 7).requires_grad_()
    with pytest.raises(NotImplementedError, match=r"no second derivative \(create_graph=True\)"):
        torch.autograd.grad(forward_kl(student, _logits(4, 7, seed=1)), student, create_graph=True)


def test_a_teacher_that_wants_a_gradient_is_refused() -> None:
    student, teacher = _logits(4, 7).requires_grad_(), _logits(4, 7, seed=1).requires_grad_()
    with pytest.raises(ValueError, match="the teacher's logits require a gradient, and only the student's get one"):
        forward_kl(student, teacher)
    with torch.no_grad():
        assert not forward_kl(student, teacher).requires_grad


def test_logits_that_do_not_lie_in_a_row() -> None:
    student, teacher = (_logits(7, 3, 4, seed=seed).transpose(0, 2) for seed in (0, 1))
    assert not student.is_contiguous()
    student.requires_grad_()
    gradient = torch.autograd.grad(forward_kl(student, teacher), student)[0]
    plain = oracle.mean(oracle.forward_kl, student, teacher, torch.ones(4, 3, dtype=torch.bool))
    torch.testing.assert_close(gradient, torch.autograd.grad(plain, student)[0], rtol=1e-12, atol=1e-12)


def test_the_arguments_stay_as_they_are() -> None:
    student, teacher = _logits(4, 7).requires_grad_(), _logits(4, 7, seed=1)
    before = student.detach().clone(), teacher.clone()
    forward_kl(student, teacher).backward()
    assert torch.equal(student, before[0]) and torch.equal(teacher, before[1])


def test_nothing_is_kept_once_the_gradient_is_made() -> None:
    student, teacher = _logits(4, 7).requires_grad_(), _logits(4, 7, seed=1)
    saved: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        values = rows.loss_of_rows(_squares, student, (teacher,))
    assert not saved
    values.sum().backward()
    with pytest.raises(RuntimeError, match="give retain_graph=True the first time"):
        values.sum().backward()


def _squares(student: Tensor, teacher: Tensor) -> tuple[Tensor, rows.Gradient]:
    return (student - teacher).square().sum(-1), lambda: 2 * (student - teacher)


def test_other_facts_of_a_row() -> None:
    def kernel(student: Tensor, teacher: Tensor, weight: Tensor) -> tuple[Tensor, rows.Gradient]:
        value, gradient = _squares(student, teacher)
        return weight * value, lambda: weight.unsqueeze(-1) * gradient()

    student, teacher, weight = _logits(3, 5, 7), _logits(3, 5, 7, seed=1), _logits(3, 5)
    mask = torch.arange(15).view(3, 5) % 3 > 0
    values = rows.loss_of_rows(kernel, student, (teacher, weight), mask, 2.0)
    expected = weight * (student / 2 - teacher / 2).square().sum(-1)
    torch.testing.assert_close(values, expected.where(mask, 0), rtol=1e-12, atol=0)


def test_a_single_row() -> None:
    student, teacher = _logits(7).requires_grad_(), _logits(7, seed=1)
    loss, expected = forward_kl(student, teacher), forward_kl(student[None], teacher[None])
    assert loss.item() == expected.item() > 0
    assert torch.equal(*(torch.autograd.grad(each, student)[0] for each in (loss, expected)))


def test_no_row() -> None:
    student = _logits(0, 7).requires_grad_()
    loss = forward_kl(student, _logits(0, 7))
    assert loss.item() == 0.0 and torch.autograd.grad(loss, student)[0].shape == (0, 7)


@pytest.mark.parametrize("other", [(3, 8), (4, 7), (4,), (21,)])
def test_what_is_of_other_rows_or_choices_is_refused(other: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=re.escape(f"are of shape (3, 7), and what they are compared with is of shape {other}")
    ):
        rows.loss_of_rows(_squares, _logits(3, 7), (_logits(*other),))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_divides_nothing_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match=f"the temperature is {temperature}; logits are divided by it"):
        forward_kl(_logits(2, 7), _logits(2, 7, seed=1), temperature=temperature)
