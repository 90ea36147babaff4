from pathlib import Path

import pytest
import torch

from causalkd.training.term_sums import TermSums, Unlogged


def test_means_are_over_micro_batches_and_processes_and_the_sums_begin_anew() -> None:
    sums = TermSums()
    for value in (1.0, 3.0):
        sums.add({"kd": torch.tensor(value), "task": torch.tensor(2 * value)}, torch.tensor(0.0, dtype=torch.float64))
    assert sums.totals() == {"kd": 4.0, "task": 8.0} and sums.count == 2
    assert sums.take_means(lambda each: 2 * each, 2) == {"kd": 2.0, "task": 4.0}
    assert sums.totals() == {} and sums.count == 0


def test_sums_continue_after_a_checkpoint(tmp_path: Path) -> None:
    whole, first = TermSums(), TermSums()
    for sums in (whole, first):
        sums.add({"kd": torch.tensor(1.5)}, torch.tensor(0.0))
    Unlogged(first.totals(), first.count, 0.5, 3).write(tmp_path, 0)
    kept = Unlogged.read(tmp_path, 0, 1)
    assert (kept.loss, kept.last_logged) == (0.5, 3)
    continued = TermSums(kept.sums, kept.count)
    for sums in (whole, continued):
        sums.add({"kd": torch.tensor(0.25)}, torch.tensor(0.0))
    assert continued.take_means(lambda each: each, 1) == whole.take_means(lambda each: each, 1) == {"kd": 0.875}
    assert Unlogged.read(tmp_path / "absent", 0, 2) == Unlogged()
    with pytest.raises(ValueError, match="the number of processes was 1, is 2, so steps"):
        Unlogged.read(tmp_path, 1, 2)
