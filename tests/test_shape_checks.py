"""The checks of types and shapes under which all tests run see what is wrong; a size has one meaning in each call."""

import pytest
import torch
from beartype import beartype
from beartype.roar import BeartypeCallHintParamViolation as Violation
from jaxtyping import Float
from torch import Tensor

from tests.shape_checks import checked


def _added(a: Float[Tensor, " n"], b: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    return a + b


def _named(name: str, times: int = 1) -> str:
    return name * times


@pytest.fixture
def added():
    return checked(_added, typechecker=beartype)


def test_one_name_is_one_size_in_a_call_and_another_in_the_next(added) -> None:
    assert added(torch.ones(2), torch.ones(2)).shape == (2,) and added(torch.ones(3), torch.ones(3)).shape == (3,)
    with pytest.raises(Violation):
        added(torch.ones(2), torch.ones(1))


def test_the_sizes_of_a_call_are_not_those_of_the_one_around_it(added) -> None:
    def around(a: Float[Tensor, " n"]) -> tuple[int, int]:
        return a.shape[0], added(torch.ones(5), torch.ones(5)).shape[0]

    assert checked(around, typechecker=beartype)(torch.ones(2)) == (2, 5)


def test_a_function_without_tensors_is_checked_too() -> None:
    named = checked(_named, typechecker=beartype)
    assert named("a", 2) == "aa"
    with pytest.raises(Violation):
        named("a", 2.0)
