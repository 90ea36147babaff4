"""The checks of a preflight on computed numbers: losses that are not numbers, and interventions without positions."""

from pathlib import Path

import pytest

from causalkd.runs.setup.preflight import preflight
from tests.shrunk import TINY, shrunk


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("students.kd.objectives.response_kd.temperature=1e-40", r"student 'kd': the loss of the first rows is nan"),
        ("students.kd.objectives.response_kd.weight=1e300", r"student 'kd': the loss of the first rows is inf"),
        ("students.diito.objectives.diito.temperature=1e-40", r"student 'diito': .* \(.*diito is nan, of weight"),
    ],
)
def test_a_loss_that_is_no_number_is_found_before_anything_is_trained(
    change: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        preflight(shrunk("quickstart", tmp_path / "run", *TINY, change))


def test_positions_that_select_nothing_are_refused(tmp_path: Path) -> None:
    policy = "alignment.positions={policy: consecutive, fraction: 0.0001}"
    with pytest.raises(ValueError, match=r"the positions of 'middle' .* select no token in any of the held-out pairs"):
        preflight(shrunk("quickstart", tmp_path / "run", *TINY, policy))


def test_micro_batches_that_cut_groups_of_rows_are_refused(tmp_path: Path) -> None:
    changes = ("students.diito.training={batch_size: 4, gradient_accumulation: 2}", "data.group=8")
    with pytest.raises(ValueError, match=r"a step has 2 micro-batches of 4 rows, .* set batch_size to a multiple"):
        preflight(shrunk("quickstart", tmp_path / "run", *TINY, *changes))
    preflight(shrunk("quickstart", tmp_path / "run", *TINY, *changes, "data.group=4"))
