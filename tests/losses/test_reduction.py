"""The mean over what counts."""

import math

import pytest
import torch

from causalkd.losses.reduction import mean_where


def test_it_is_the_mean_of_what_counts() -> None:
    values = torch.tensor([[1.0, 2.0, 30.0], [4.0, 50.0, 60.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert mean_where(values, mask).item() == pytest.approx((1 + 2 + 4) / 3)
    assert mean_where(values).item() == pytest.approx(values.mean().item())


@pytest.mark.parametrize("outside", [math.nan, math.inf, -math.inf])
def test_what_stands_outside_is_nothing(outside: float) -> None:
    values = torch.tensor([1.0, outside, 3.0], requires_grad=True)
    mean = mean_where(values, torch.tensor([True, False, True]))
    mean.backward()
    assert mean.item() == 2.0
    assert values.grad is not None and values.grad.tolist() == [0.5, 0.0, 0.5]


def test_nothing_counts() -> None:
    values = torch.full((2, 3), math.nan, requires_grad=True)
    mean = mean_where(values, torch.zeros(2, 3, dtype=torch.bool))
    mean.backward()
    assert mean.item() == 0.0
    assert values.grad is not None and values.grad.abs().sum() == 0


def test_nothing_is_there() -> None:
    values = torch.zeros(0, requires_grad=True)
    mean = mean_where(values)
    mean.backward()
    assert mean.item() == 0.0
    assert values.grad is not None and values.grad.shape == (0,)


@pytest.mark.parametrize("masked", [False, True])
def test_many_values_of_half_precision_have_a_finite_mean(masked: bool) -> None:
    values = torch.full((70_000,), 1.5, dtype=torch.float16, requires_grad=True)
    mean = mean_where(values, torch.ones(70_000, dtype=torch.bool) if masked else None)
    assert mean.dtype == torch.float32
    assert mean.item() == 1.5
    mean.backward()
    assert values.grad is not None and values.grad.isfinite().all()
