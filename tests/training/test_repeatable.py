"""Order and draws of a training are those of its seed and epoch, whatever else was drawn."""

from pathlib import Path

import torch
from transformers.trainer_pt_utils import LengthGroupedSampler

from causalkd.training.repeatable import LengthGroups
from tests.training.small import logged, models, trainer

LENGTHS = [number % 7 for number in range(64)]


def test_the_order_is_of_the_seed_and_the_epoch() -> None:
    epochs = iter((0, 1, 0))
    one = LengthGroups(LengthGroupedSampler(4, lengths=LENGTHS), 3, lambda: next(epochs))
    first = list(one)
    torch.rand(5)  # what dropout draws
    second, again = list(one), list(one)
    assert first == again != second
    assert sorted(first) == sorted(second) == list(range(64))
    other = LengthGroups(LengthGroupedSampler(4, lengths=LENGTHS), 4, lambda: 0)
    assert list(other) != first


def test_the_order_is_the_one_of_transformers() -> None:
    given = LengthGroupedSampler(4, lengths=LENGTHS, generator=torch.Generator().manual_seed(5))
    assert list(LengthGroups(given, 3, lambda: 2)) == list(given)


def test_workers_that_stay_draw_nothing_of_the_training(tmp_path: Path) -> None:
    """Workers of a training that was continued within the second epoch start once more in the third."""
    pair, again = models(), models()
    options = {"max_steps": 7, "dataloader_num_workers": 1, "dataloader_persistent_workers": True}
    whole = trainer(tmp_path / "whole", pair, save_strategy="steps", save_steps=4, **options)
    whole.train()
    resumed = trainer(tmp_path / "resumed", again, **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-4"))
    assert logged(resumed) == logged(whole)
