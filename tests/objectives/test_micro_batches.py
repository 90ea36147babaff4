"""What a micro-batch has on average of what an optimizer step learns from."""

from dataclasses import replace

import torch

from causalkd.data.batch import Batch
from causalkd.objectives.base import Requirements
from causalkd.objectives.micro_batches import MicroBatches
from tests.objectives.steps import batch_of


def _rows(*lengths: int) -> Batch:
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]
    labels = torch.where(mask, 5, -100)
    return Batch({"input_ids": mask.long(), "attention_mask": mask.long()}, labels)


def test_the_average_is_over_micro_batches_and_processes_and_counted_once() -> None:
    micro_batches, asked = MicroBatches((_rows(1, 2), _rows(6)), 2, lambda count: 10 * count), []

    def count(batch: Batch) -> torch.Tensor:
        asked.append(batch)
        return batch.counted.sum()

    assert micro_batches.average("tokens", count, torch.bfloat16).item() == 10 * 9 / 4
    assert micro_batches.average("tokens", count, torch.float64).dtype == torch.float64
    assert len(asked) == 2
    assert (
        micro_batches.average("rows", lambda batch: torch.tensor(len(batch.counted)), torch.float32).item()
        == 10 * 3 / 4
    )


def test_means_of_micro_batches_become_parts_of_the_mean_over_all() -> None:
    batches = (_rows(1, 2), _rows(6), _rows(0))
    micro_batches = MicroBatches(batches, 1, lambda count: count)
    means = [torch.tensor(mean) for mean in (5.0, 2.0, 0.0)]
    parts = [
        micro_batches.share("tokens", lambda each: each.counted.sum(), batch, torch.float64) * mean
        for batch, mean in zip(batches, means, strict=True)
    ]
    assert (sum(parts) / 3).item() == (3 * 5 + 6 * 2) / 9
    read_twice = MicroBatches(tuple(replace(_rows(4), student=batch) for batch in batches), 1, lambda count: count)
    shares = [read_twice.share("tokens", lambda each: each.counted.sum(), batch, torch.float64) for batch in batches]
    assert [share.item() for share in shares] == [1.0, 2.0, 0.0]
    nothing = MicroBatches((_rows(0),), 1, lambda count: count)
    assert nothing.share("tokens", lambda each: each.counted.sum(), _rows(0), torch.float32).item() == 0


def test_how_many_things_a_mean_is_over() -> None:
    batch = _rows(1, 4, 6)
    assert Requirements(logits="all").amount("causal_lm", batch) == 11
    assert Requirements(logits="labelled").amount("causal_lm", batch) == 8  # the first token has nothing before it
    assert Requirements(logits="labelled").amount("masked_lm", batch) == 11
    assert Requirements(logits="none").amount("causal_lm", batch) == 11
    rows = batch_of("classification")
    assert Requirements(logits="all").amount("classification", rows) == 4
    assert Requirements(logits="none").amount("classification", rows) == rows.counted.sum()
