"""The rows of a batch among the examples that it was made of."""

import pytest
import torch

from causalkd.data.batch import Batch
from causalkd.verification.measures.example_rows import examples_of

EXAMPLES = [{"input_ids": [number], "words": number} for number in range(4)]


def _batch(index: list[int] | None) -> Batch:
    ids = torch.ones(2, 3, dtype=torch.long)
    numbers = None if index is None else torch.tensor(index)
    return Batch({"input_ids": ids, "attention_mask": ids}, index=numbers)


def test_rows_are_those_of_their_numbers() -> None:
    assert examples_of(_batch([3, 1]), EXAMPLES) == [EXAMPLES[3], EXAMPLES[1]]


def test_a_batch_without_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="has no `index`"):
        examples_of(_batch(None), EXAMPLES)
