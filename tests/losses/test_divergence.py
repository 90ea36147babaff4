"""Every divergence: value and gradient against five lines of torch, zero at agreement, finite at the edges."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from causalkd.losses.divergence import (
    forward_kl,
    jensen_shannon,
    reverse_kl,
    skewed_forward_kl,
    skewed_reverse_kl,
    total_variation,
)
from tests.oracles import divergence as oracle

CASES: dict[str, tuple[Callable[..., Tensor], oracle.Oracle]] = {
    "forward": (forward_kl, oracle.forward_kl),
    "reverse": (reverse_kl, oracle.reverse_kl),
    "jensen_shannon": (jensen_shannon, oracle.jensen_shannon(0.5)),
    "jensen_shannon_0.1": (partial(jensen_shannon, beta=0.1), oracle.jensen_shannon(0.1)),
    "jensen_shannon_0.9": (partial(jensen_shannon, beta=0.9), oracle.jensen_shannon(0.9)),
    "total_variation": (total_variation, oracle.total_variation),
    "skewed_forward": (skewed_forward_kl, oracle.skewed_forward_kl(0.1)),
    "skewed_forward_0.7": (partial(skewed_forward_kl, alpha=0.7), oracle.skewed_forward_kl(0.7)),
    "skewed_reverse": (skewed_reverse_kl, oracle.skewed_reverse_kl(0.1)),
    "skewed_reverse_0.7": (partial(skewed_reverse_kl, alpha=0.7), oracle.skewed_reverse_kl(0.7)),
}
each = pytest.mark.parametrize(("fast", "slow"), CASES.values(), ids=CASES)
each_fast = pytest.mark.parametrize("fast", [fast for fast, _ in CASES.values()], ids=CASES)


def _logits(*shape: int, seed: int = 0) -> Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _gradient(loss: Tensor, student: Tensor) -> Tensor:
    return torch.autograd.grad(loss, student)[0]


@each_fast
def test_zero_at_agreement(fast: Callable[..., Tensor]) -> None:
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        student = _logits(3, 4, 70).to(dtype).requires_grad_()
        loss = fast(student, student.detach())
        assert loss.item() == 0.0
        assert _gradient(loss, student).abs().max() < 10 * torch.finfo(dtype).eps
    # A constant added to every logit of a position changes no probability.
    assert abs(fast(_logits(3, 4, 7) + _logits(3, 4, 1, seed=1), _logits(3, 4, 7)).item()) < 1e-14


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@each
def test_value_and_gradient_are_the_oracles(
    fast: Callable[..., Tensor], slow: oracle.Oracle, temperature: float
) -> None:
    student, teacher = _logits(3, 4, 7).requires_grad_(), _logits(3, 4, 7, seed=1)
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
    losses = fast(student, teacher, mask, temperature), oracle.mean(slow, student, teacher, mask, temperature)
    gradients = [_gradient(loss, student) for loss in losses]
    assert losses[0].item() > 0
    torch.testing.assert_close(*losses, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


@each_fast
def test_gradcheck(fast: Callable[..., Tensor]) -> None:
    student, teacher = _logits(1, 3, 4).requires_grad_(), _logits(1, 3, 4, seed=1)
    mask = torch.tensor([[True, False, True]])
    assert torch.autograd.gradcheck(lambda logits: fast(logits, teacher, mask, 2.0), student)


@each_fast
def test_what_is_masked_is_not_there(fast: Callable[..., Tensor]) -> None:
    student, teacher = _logits(2, 3, 5), _logits(2, 3, 5, seed=1)
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]], dtype=torch.bool)
    dirty = student.masked_fill(~mask[..., None], math.nan).requires_grad_()
    loss = fast(dirty, teacher.masked_fill(~mask[..., None], math.inf), mask)
    torch.testing.assert_close(loss, fast(student[mask], teacher[mask]), rtol=1e-14, atol=0)
    gradient = _gradient(loss, dirty)
    assert gradient[~mask].abs().sum() == 0 and gradient[mask].isfinite().all()


@each_fast
def test_nothing_counts(fast: Callable[..., Tensor]) -> None:
    student = _logits(2, 3, 5).requires_grad_()
    loss = fast(student, _logits(2, 3, 5, seed=1), torch.zeros(2, 3, dtype=torch.bool))
    assert loss.item() == 0.0
    assert _gradient(loss, student).abs().sum() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@each_fast
def test_half_precision_is_computed_in_single(fast: Callable[..., Tensor], dtype: torch.dtype) -> None:
    student, teacher = (_logits(4, 50, seed=seed).to(dtype) for seed in (0, 1))
    student.requires_grad_()
    exact = student.detach().double().requires_grad_()
    losses = fast(student, teacher), fast(exact, teacher.double())
    assert losses[0].dtype == torch.float32
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
    gradients = [_gradient(loss, logits) for loss, logits in zip(losses, (student, exact), strict=True)]
    assert gradients[0].dtype == dtype
    torch.testing.assert_close(gradients[0].double(), gradients[1], rtol=0, atol=5 * torch.finfo(dtype).eps)


@each_fast
def test_mixed_precision_changes_nothing(fast: Callable[..., Tensor]) -> None:
    student, teacher = (_logits(4, 50, seed=seed).float() for seed in (0, 1))
    student.requires_grad_()
    plain = fast(student, teacher)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = fast(student, teacher)
    assert torch.equal(mixed, plain)
    assert torch.equal(_gradient(mixed, student), _gradient(plain, student))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("lowest", [-1e4, "least", -math.inf])
@each_fast
def test_what_is_ruled_out_stays_finite(fast: Callable[..., Tensor], lowest: float | str, dtype: torch.dtype) -> None:
    lowest = torch.finfo(dtype).min if isinstance(lowest, str) else lowest
    of_student = [[lowest, 0.0, 1.0], [lowest, lowest, 1.0], [0.0, 1.0, lowest], [0.0, 0.0, 1.0]]
    student = torch.tensor(of_student, dtype=dtype, requires_grad=True)
    of_teacher = [[0.0, lowest, 1.0], [lowest, 1.0, lowest], [0.0, 1.0, lowest], [0.0, lowest, 1.0]]
    teacher = torch.tensor(of_teacher, dtype=dtype)
    for temperature in (0.5, 2.0):
        loss = fast(student, teacher, temperature=temperature)
        assert loss.isfinite() and loss > 0
        assert _gradient(loss, student).isfinite().all()
        alone = fast(student[3:], teacher[3:], temperature=temperature)
        assert _gradient(alone, student).isfinite().all()
    assert fast(student, student.detach()).item() == 0.0


@each_fast
@pytest.mark.parametrize("spoilt", [math.nan, math.inf])
def test_what_is_no_number_never_looks_like_agreement(fast: Callable[..., Tensor], spoilt: float) -> None:
    sound, broken = _logits(2, 5), _logits(2, 5, seed=1)
    broken[0, 3] = spoilt
    assert fast(sound, broken).isnan() and fast(broken, sound).isnan()


@each
def test_probabilities_too_small_for_single_precision(fast: Callable[..., Tensor], slow: oracle.Oracle) -> None:
    student = torch.tensor([[200.0, 0.0, 150.0], [0.0, 95.0, 0.0]], dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([[0.0, 200.0, 100.0], [2.0, 0.0, 1.0]], dtype=torch.float64)
    single = student.detach().float().requires_grad_()
    losses = fast(single, teacher.float()), oracle.mean(slow, student, teacher, torch.ones(2, dtype=torch.bool))
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-6)
    torch.testing.assert_close(_gradient(losses[0], single).double(), _gradient(losses[1], student), rtol=0, atol=1e-6)


def test_forward_kl_is_the_teachers_expectation() -> None:
    certain, even = torch.tensor([[40.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    assert forward_kl(even, certain).item() == pytest.approx(math.log(2))
    assert forward_kl(certain, even).item() > 10  # the student rules out what the teacher does not


def test_reverse_kl_is_forward_kl_with_the_roles_reversed() -> None:
    student, teacher = _logits(3, 7), _logits(3, 7, seed=1)
    torch.testing.assert_close(reverse_kl(student, teacher), forward_kl(teacher, student), rtol=1e-13, atol=0)


def test_jensen_shannon_tends_to_the_kls() -> None:
    student, teacher = _logits(3, 7), _logits(3, 7, seed=1)
    for beta, limit in ((1e-9, forward_kl), (1 - 1e-9, reverse_kl)):
        share = beta if beta < 0.5 else 1 - beta
        expected = limit(student, teacher)
        torch.testing.assert_close(jensen_shannon(student, teacher, beta=beta) / share, expected, rtol=1e-5, atol=0)
        assert torch.equal(jensen_shannon(student, teacher, beta=float(round(beta))), expected)
    half, swapped = jensen_shannon(student, teacher), jensen_shannon(teacher, student)
    torch.testing.assert_close(half, swapped, rtol=1e-13, atol=0)
    assert half < math.log(2)


@pytest.mark.parametrize("wrong", [-0.1, 1.1])
def test_a_share_that_is_none(wrong: float) -> None:
    student, teacher = _logits(3, 7), _logits(3, 7, seed=1)
    with pytest.raises(ValueError, match=rf"beta is {wrong}; it mixes two distributions and must lie in \[0, 1\]"):
        jensen_shannon(student, teacher, beta=wrong)
    with pytest.raises(ValueError, match=rf"alpha is {wrong}; .* must lie in \(0, 1\). For 0 use forward_kl"):
        skewed_forward_kl(student, teacher, alpha=wrong)
    with pytest.raises(ValueError, match="For 0 use reverse_kl"):
        skewed_reverse_kl(student, teacher, alpha=0.0)


def test_weights_are_factors_in_the_mean() -> None:
    student, teacher, weights = _logits(3, 7), _logits(3, 7, seed=1), torch.tensor([0.0, 0.5, 2.0]).double()
    rows = oracle.forward_kl(student.log_softmax(-1), teacher.log_softmax(-1))
    torch.testing.assert_close(forward_kl(student, teacher, weights=weights), (weights * rows).mean())
