import numpy as np
import pytest
from pydantic import ValidationError
from transformer_lens.tools.analysis.interchange import random_basis

from causalkd.alignment.basis import Basis, orthonormal
from causalkd.alignment.spec import Alignment


def test_keeps_every_number_of_float32_over_yaml() -> None:
    columns = random_basis(12, 3, 0).numpy()
    alignment = Alignment.from_yaml(
        f"""
name: learned
positions: {{policy: all}}
pairs:
- name: one
  teacher: [{{layer: 1}}]
  student: [{{layer: 0, basis: {{width: 12, rank: 3, values: {Basis.of(columns).values}}}}}]
"""
    )
    back = Alignment.from_yaml(alignment.to_yaml())
    assert back == alignment and hash(back) == hash(alignment)
    found = back.pairs[0].student[0].basis
    assert found is not None and np.array_equal(found.columns(), columns)
    assert Basis.of(found.columns()) == found


def test_takes_the_rounding_of_double_precision_and_no_more() -> None:
    columns = random_basis(64, 4, 1).numpy()
    assert Basis.of(columns.astype(np.float64)) == Basis.of(columns)
    with pytest.raises(ValidationError, match="not orthonormal"):
        Basis.of(columns + 1e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rank": 0}, "rank 0 given; it must be 1–4, the width"),
        ({"rank": 5}, "rank 5 given"),
        ({"rank": 3}, "values hold 8 numbers; they must be rank 3 × width 4"),
        ({"values": "AAA"}, "values must be float32 numbers in base64"),
        ({"values": "AAAA"}, "values must be float32 numbers in base64"),
        ({"rank": "2"}, "valid integer"),
        ({"colums": 1}, "colums"),
    ],
)
def test_what_is_no_basis_is_refused(change: dict[str, object], said: str) -> None:
    good = Basis.of(np.eye(4)[:, :2]).model_dump()
    assert Basis.model_validate(good).columns().tolist() == np.eye(4)[:, :2].tolist()
    with pytest.raises(ValidationError, match=said):
        Basis.model_validate({**good, **change})


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_directions_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(ValidationError, match="not orthonormal"):
        Basis.of(np.full((4, 1), bad))


def test_what_training_left_a_little_askew_is_set_right() -> None:
    columns = random_basis(64, 5, 2).numpy()
    askew = columns + np.random.default_rng(0).normal(scale=1e-3, size=columns.shape)
    with pytest.raises(ValidationError, match="not orthonormal"):
        Basis.of(askew)
    np.testing.assert_allclose(Basis.of(orthonormal(askew)).columns(), columns, atol=5e-3)
    np.testing.assert_allclose(orthonormal(columns), columns, atol=1e-6)
