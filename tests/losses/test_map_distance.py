"""The distance of maps: against a loop, zero where maps are proportional, padding and dead rows without effect."""

import pytest
import torch
from torch import Tensor

from causalkd.losses.map_distance import Distance, map_distance


def _maps(seed: int) -> Tensor:
    maps = torch.rand(2, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.1
    maps[:, 1, 3:] = 0  # padding
    return maps


def _slow(student: Tensor, teacher: Tensor, distance: Distance, norm: int) -> float:
    total = 0.0
    for view in range(2):
        found, count = 0.0, 0
        for row in range(3):
            ours = student[view, row] / student[view, row].abs().pow(norm).sum().pow(1 / norm)
            theirs = teacher[view, row] / teacher[view, row].abs().pow(norm).sum().pow(1 / norm)
            for one, other in zip(ours.tolist(), theirs.tolist(), strict=True):
                gap = abs(one - other)
                found += {"l1": gap, "l2": gap**2, "smooth_l1": gap**2 / 2}[distance]  # a gap is below 1
                count += other != 0
        total += found / count
    return total


@pytest.mark.parametrize("distance", ["l1", "l2", "smooth_l1"])
@pytest.mark.parametrize("norm", [1, 2])
def test_equal_to_a_loop(distance: Distance, norm: int) -> None:
    student, teacher = _maps(0), _maps(1)
    found = map_distance(student, teacher, distance=distance, norm=norm)  # type: ignore[arg-type]
    assert found.item() == pytest.approx(_slow(student, teacher, distance, norm), rel=1e-12)


def test_zero_where_maps_are_proportional() -> None:
    teacher = _maps(0)
    scale = torch.tensor([0.5, 3.0, 1e6], dtype=torch.float64)[:, None]
    student = (teacher * scale).requires_grad_()
    loss = map_distance(student, teacher)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-15) and student.grad is not None
    assert student.grad.abs().max() < 1e-8
    assert map_distance(_maps(1) * scale, teacher).item() == pytest.approx(map_distance(_maps(1), teacher).item())


def test_rows_that_do_not_count_or_have_no_map() -> None:
    student, teacher = _maps(0).requires_grad_(), _maps(1)
    valid = torch.tensor([True, False, True])
    loss = map_distance(student, teacher, valid)
    assert loss.item() == pytest.approx(map_distance(student[:, valid], teacher[:, valid]).item())
    nothing = map_distance(student, torch.zeros_like(teacher), torch.tensor([False] * 3))
    nothing.backward()
    assert nothing.item() == 0 and student.grad is not None and student.grad.abs().max() == 0


@pytest.mark.parametrize("distance", ["l1", "l2", "smooth_l1"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_row_without_a_map_of_the_teacher_adds_nothing_in_any_precision(
    distance: Distance, dtype: torch.dtype
) -> None:
    student, teacher = _maps(0).float(), _maps(1).to(dtype)
    rest = map_distance(student[:, [0, 2]], teacher[:, [0, 2]], distance=distance)
    teacher[:, 1] = 0
    student = student.requires_grad_()
    for valid in (None, torch.tensor([True, False, True])):
        loss = map_distance(student, teacher, valid, distance)
        assert loss.dtype == torch.float32 and loss.item() == pytest.approx(rest.item(), rel=1e-6)
        assert torch.autograd.grad(loss, student)[0][:, 1].abs().max() == 0


def test_its_gradient() -> None:
    teacher, valid = _maps(1), torch.tensor([True, True, False])
    for distance in ("l2", "smooth_l1"):
        function = lambda student, distance=distance: map_distance(student, teacher, valid, distance)  # noqa: E731
        assert torch.autograd.gradcheck(function, (_maps(0).requires_grad_(),))


def test_maps_of_zero_give_float16_a_finite_gradient() -> None:
    student = torch.zeros(1, 2, 4, dtype=torch.float16, requires_grad=True)
    map_distance(student, torch.ones(1, 2, 4, dtype=torch.float16)).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert (student.grad < 0).all()
