"""1, 2 and 4 processes with the same rows a step: the same terms and weights, of each objective and of all together."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.forked import ended
from tests.training.processes import CASES, COUNTS, TRAININGS

BOUNDS = {32: 1e-6, 64: 1e-12}
_WITHOUT_GRADIENT = ".k_lin.bias"
"""It adds the same to all scores of a query, so its gradient is rounding error alone, which AdamW divides by 1e-8."""
_OF_THE_TRAINER = {"loss"}
"""Which transformers adds up in float32, whatever the model is in."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    done = ended("tests.training.processes", str(folder))
    assert done.code == 0, done.stderr[-3000:]
    return folder


def _read(folder: Path, processes: int, name: str, bits: int) -> Any:
    return torch.load(folder / f"{processes}-{name}-{bits}.pt")


@pytest.mark.parametrize("processes", COUNTS[1:])
@pytest.mark.parametrize(("name", "bits"), CASES)
def test_processes_learn_what_one_learns(found: Path, name: str, bits: int, processes: int) -> None:
    one, several = (_read(found, count, name, bits) for count in (1, processes))
    assert {weight.dtype for weight in one["weights"].values()} == {torch.float32 if bits == 32 else torch.float64}
    for weight, tensor in one["weights"].items():
        bound = BOUNDS[bits] * (1000 if weight.endswith(_WITHOUT_GRADIENT) else 1)
        assert (tensor - several["weights"][weight]).abs().max() < bound, weight
    assert len(one["rows"]) == len(several["rows"]) > 0
    for row, other in zip(one["rows"], several["rows"], strict=True):
        assert row.keys() == other.keys() and len(row) == 1 + len(TRAININGS[name])
        for key in row:
            bound = BOUNDS[32] if key in _OF_THE_TRAINER else BOUNDS[bits]
            assert float(other[key]) == pytest.approx(float(row[key]), rel=bound, abs=bound), key


def test_the_weights_have_moved(found: Path) -> None:
    """Agreement would say nothing of trainings that change nothing."""
    kd, everything = (_read(found, 1, name, 64)["weights"] for name in ("kd", "all"))
    assert max((kd[name] - everything[name]).abs().max().item() for name in kd) > 1e-4
