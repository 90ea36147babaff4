"""The examples of a batch's rows, for measurements that need texts, words or bytes, which batches do not hold."""

from collections.abc import Sequence

from causalkd.data.batch import Batch, Example


def examples_of(batch: Batch, examples: Sequence[Example]) -> list[Example]:
    """The example of each row of a batch.

    Raises:
        ValueError: The batch does not know the numbers of its rows among the examples.
    """
    if batch.index is None and batch.host_index is None:
        raise ValueError(
            "a batch has no `index`, so it is not known which of the examples its rows are; give the numbers of its "
            "rows as `index`, or make the batches with PairingCollator(...).in_order"
        )
    return [examples[number] for number in batch.numbers.tolist()]
