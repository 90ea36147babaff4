"""Batches are made one by one, whatever their number, and the last one holds what is left."""

import weakref

import pytest
import torch

from causalkd.data.batch import Batch
from causalkd.data.lazy_batches import LazyBatches


def _batch(rows: range) -> Batch:
    ids = torch.tensor(list(rows))[:, None]
    return Batch({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, None)


@pytest.mark.parametrize(("rows", "sizes"), [(0, []), (6, [3, 3]), (7, [3, 3, 1])])
def test_all_rows_are_in_a_batch(rows: int, sizes: list[int]) -> None:
    batches = LazyBatches(rows, 3, _batch)
    assert [len(batch.counted) for batch in batches] == sizes and len(batches) == len(sizes)
    assert [number for batch in batches for number in batch.inputs["input_ids"][:, 0].tolist()] == [*range(rows)]


def test_a_batch_is_found_by_its_number() -> None:
    batches = LazyBatches(7, 3, _batch)
    assert batches[1].inputs["input_ids"].flatten().tolist() == [3, 4, 5]
    assert batches[-1].inputs["input_ids"].flatten().tolist() == [6]
    assert [len(batch.counted) for batch in batches[1:]] == [3, 1]
    with pytest.raises(IndexError):
        batches[3]


def test_a_million_rows_are_not_held() -> None:
    made: list[weakref.ref[Batch]] = []

    def make(rows: range) -> Batch:
        batch = _batch(rows)
        made.append(weakref.ref(batch))
        return batch

    batches = LazyBatches(1_000_000, 1000, make)
    assert len(batches) == 1000 and not made
    for number, batch in enumerate(batches):
        assert int(batch.inputs["input_ids"][0]) == 1000 * number
        assert sum(each() is not None for each in made) <= 2
        if number == 20:
            break
