"""Distances of hidden states: zero at agreement, value and gradient against a loop, what is masked is not there."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from causalkd.losses.hidden import cosine_distance, squared_distance

DISTANCES = [cosine_distance, squared_distance]
Distance = Callable[..., Tensor]
MASK = torch.tensor([[1, 1, 0], [1, 0, 0]], dtype=torch.bool)


def _states(seed: int = 0) -> Tensor:
    return torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _cosine_oracle(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    pairs = zip(student[mask], teacher[mask], strict=True)
    return torch.stack([1 - s @ t / (s @ s).sqrt() / (t @ t).sqrt() for s, t in pairs]).mean()


def _squared_oracle(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    return torch.stack([(s - t) @ (s - t) for s, t in zip(student[mask], teacher[mask], strict=True)]).mean()


@pytest.mark.parametrize("distance", DISTANCES)
def test_zero_at_agreement(distance: Distance) -> None:
    states = _states()
    assert distance(states, states).abs().item() < 1e-11


@pytest.mark.parametrize(
    ("distance", "oracle"), [(cosine_distance, _cosine_oracle), (squared_distance, _squared_oracle)]
)
def test_value_and_gradient_equal_a_loop(distance: Distance, oracle: Distance) -> None:
    student, teacher = _states().requires_grad_(), _states(1)
    fast, slow = distance(student, teacher, MASK), oracle(student, teacher, MASK)
    gradients = [torch.autograd.grad(loss, student)[0] for loss in (fast, slow)]
    torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("distance", DISTANCES)
def test_gradcheck(distance: Distance) -> None:
    teacher = _states(1)
    assert torch.autograd.gradcheck(lambda states: distance(states, teacher, MASK), _states().requires_grad_())


@pytest.mark.parametrize("outside", [math.nan, math.inf])
@pytest.mark.parametrize("distance", DISTANCES)
def test_padding_changes_nothing(distance: Distance, outside: float) -> None:
    student, teacher = _states(), _states(1)
    dirty = student.masked_fill(~MASK[..., None], outside)
    assert torch.equal(distance(dirty, teacher, MASK), distance(student, teacher, MASK))


@pytest.mark.parametrize("distance", DISTANCES)
def test_all_masked(distance: Distance) -> None:
    student = _states().requires_grad_()
    loss = distance(student, _states(1), torch.zeros_like(MASK))
    loss.backward()
    assert loss.item() == 0.0
    assert student.grad is not None and student.grad.abs().sum() == 0


def test_cosine_distance_knows_only_the_direction() -> None:
    states = _states()
    assert cosine_distance(5 * states, states).item() == pytest.approx(0, abs=1e-11)
    assert cosine_distance(-states, states).item() == pytest.approx(2)


def test_cosine_distance_equals_torchs_embedding_loss() -> None:
    """DIITO's release uses it, the added epsilon included: short vectors tell."""
    student, teacher = 1e-6 * _states(), _states(1)
    same = torch.ones(int(MASK.sum()), dtype=torch.float64)
    expected = torch.nn.functional.cosine_embedding_loss(student[MASK], teacher[MASK], same)
    torch.testing.assert_close(cosine_distance(student, teacher, MASK), expected, rtol=1e-9, atol=0)


def test_zero_states_have_a_finite_gradient() -> None:
    student = torch.zeros(1, 4, requires_grad=True)
    cosine_distance(student, torch.ones(1, 4)).backward()
    assert student.grad is not None and student.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("distance", DISTANCES)
def test_half_precision_is_added_up_in_float32(distance: Distance, dtype: torch.dtype) -> None:
    # Of norm 257, whose square float16 does not hold; and the teacher's differs by a tenth of that.
    student = _states().mul_(257 / _states().norm(dim=-1, keepdim=True)).to(dtype).requires_grad_()
    teacher = (student.detach().double() + 25 * _states(1) / _states(1).norm(dim=-1, keepdim=True)).to(dtype)
    exact = student.detach().double().requires_grad_()
    distance(student, teacher).backward()
    distance(exact, teacher.double()).backward()
    torch.testing.assert_close(distance(student, teacher), distance(exact, teacher.double()).float())
    assert student.grad is not None and exact.grad is not None
    torch.testing.assert_close(student.grad, exact.grad.to(dtype))


def test_states_of_zero_give_float16_a_finite_gradient() -> None:
    student = torch.zeros(2, 4, dtype=torch.float16, requires_grad=True)
    cosine_distance(student, torch.ones(2, 4, dtype=torch.float16)).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert (student.grad < 0).all()
