"""Batches that are made on access, so that any number of rows costs the memory of one batch."""

from collections.abc import Callable, Sequence
from typing import overload

from causalkd.data.batch import Batch


class LazyBatches(Sequence[Batch]):
    """Batches of `size` neighbouring rows, the last one of the remaining rows; each is made at every access.

    Args:
        rows: The number of rows.
        size: The number of rows of a batch.
        make: Makes the batch of the rows of a range; every time the same.
    """

    def __init__(self, rows: int, size: int, make: Callable[[range], Batch]) -> None:
        self._rows, self._size, self._make = rows, size, make

    def __len__(self) -> int:
        return -(-self._rows // self._size)

    @overload
    def __getitem__(self, number: int) -> Batch: ...

    @overload
    def __getitem__(self, number: slice) -> list[Batch]: ...

    def __getitem__(self, number: int | slice) -> Batch | list[Batch]:
        if isinstance(number, slice):
            return [self[each] for each in range(len(self))[number]]
        start = range(0, self._rows, self._size)[number]
        return self._make(range(start, min(start + self._size, self._rows)))
