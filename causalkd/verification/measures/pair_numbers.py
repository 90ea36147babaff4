"""Whole numbers of very many pairs, or of their predictions, in as few bits as they need.

A verification keeps a few numbers of every pair for each comparison and baseline, and most of them are 0 or 1. Here
such a number takes one bit: eight lists share one byte per pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Num, UInt8

Packed = UInt8[np.ndarray, "_planes _bytes _pairs"]
"""Some lists of whole numbers: bit `k` of each number is in plane `k`, and eight lists are in one byte."""


def pack(values: Num[np.ndarray, "lists pairs"]) -> Packed:
    """The bits of some lists of whole numbers, at least 0, all of one length; as many planes as the largest needs."""
    whole = values.astype(np.uint64)
    planes = np.arange(max(int(whole.max(initial=0)).bit_length(), 1), dtype=np.uint64)
    return np.packbits((whole >> planes[:, None, None] & np.uint64(1)).astype(bool), axis=1)


def joined(parts: Sequence[Packed]) -> Packed:
    """The same lists of several batches of pairs, end to end."""
    planes = max(len(part) for part in parts)
    return np.concatenate([np.pad(part, [(0, planes - len(part)), (0, 0), (0, 0)]) for part in parts], axis=2)


@dataclass(frozen=True, eq=False)
class PairNumbers:
    """One of the lists in `packed`, which is unpacked whenever its values are read."""

    packed: Packed
    number: int
    """The number of the list."""

    @classmethod
    def of(cls, values: Num[np.ndarray, "pairs"]) -> "PairNumbers":
        """A list packed alone."""
        return cls(pack(values[None]), 0)

    @property
    def values(self) -> Int64[np.ndarray, "pairs"]:
        """The numbers."""
        byte, bit = divmod(self.number, 8)
        found = np.zeros(self.packed.shape[2], dtype=np.int64)
        for plane, held in enumerate(self.packed[:, byte]):
            found |= (held >> (7 - bit) & 1).astype(np.int64) << plane
        return found
