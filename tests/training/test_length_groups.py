"""Rows of like length share a batch, in an order of the seed and the epoch, whatever else was drawn."""

import torch
from transformers.trainer_pt_utils import LengthGroupedSampler

from causalkd.training.length_groups import LengthGroups

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
