"""Half precision becomes float32 before anything is added up, and what goes back is finite."""

import pytest
import torch

from causalkd.losses.precision import at_least_float32_clamped


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_precise_enough_stays_the_same_tensor(dtype: torch.dtype) -> None:
    tensor = torch.ones(3, dtype=dtype)
    assert at_least_float32_clamped(tensor) is tensor


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_float32_and_gets_its_gradient_back(dtype: torch.dtype) -> None:
    tensor = torch.tensor([1.5, -2.0], dtype=dtype, requires_grad=True)
    wide = at_least_float32_clamped(tensor)
    assert wide.dtype == torch.float32
    (wide * torch.tensor([3.0, 0.5])).sum().backward()
    assert tensor.grad is not None
    assert tensor.grad.dtype == dtype
    assert tensor.grad.tolist() == [3.0, 0.5]


def test_a_gradient_steeper_than_float16_holds_is_the_steepest_it_holds() -> None:
    tensor = torch.tensor([1.0, 1.0], dtype=torch.float16, requires_grad=True)
    (at_least_float32_clamped(tensor) * torch.tensor([1e12, -1e12])).sum().backward()
    assert tensor.grad is not None
    assert tensor.grad.tolist() == [65504.0, -65504.0]
