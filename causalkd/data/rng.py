"""Random numbers that are a function of (seed, epoch, example number, stream) and of nothing else.

A drawn position, source or masked token must not depend on which other rows share the batch, on the number of workers
or processes, or on how often training was resumed. So nothing here keeps state: each number is a hash of its key.
"""

from enum import IntEnum

import numpy as np
import torch
from jaxtyping import Float64, Int, UInt64
from torch import Tensor

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)

Index = Int[Tensor, "batch"] | Int[np.ndarray, "batch"]
"""Example numbers: positions in the whole data set, not in the batch."""


class Stream(IntEnum):
    """The purpose of a draw; equal keys on different streams give independent numbers."""

    BASE_POSITIONS = 0
    SOURCE_POSITIONS = 1
    SOURCE_EXAMPLE = 2
    MASKED_TOKENS = 3
    REPLACEMENTS = 4
    EXPLAINED_POSITION = 5


def uniforms(seed: int, epoch: int, index: Index, stream: Stream, count: int) -> Float64[Tensor, "batch count"]:
    """`count` numbers in [0, 1) for each example; the j-th does not depend on `count`."""
    key = _mix(np.array([seed % 2**64], dtype=np.uint64))
    for part in (np.array([epoch]), np.array([int(stream)]), np.asarray(index)):
        # One after the other: if parts were mixed first, seed and epoch would be interchangeable.
        key = _mix(key ^ part.astype(np.uint64))
    counters = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    bits = _mix(key[:, None] + counters[None, :]) >> np.uint64(11)
    return torch.from_numpy(bits.astype(np.float64) * 2.0**-53)


def integers(seed: int, epoch: int, index: Index, stream: Stream, below: Int[Tensor, "batch"]) -> Int[Tensor, "batch"]:
    """One whole number in 0 ... below - 1 for each example, where `below` is at least 1 and far under 2**53."""
    return (uniforms(seed, epoch, index, stream, 1)[:, 0] * below).long()


def _mix(value: UInt64[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    """SplitMix64 (Steele, Lea and Flood, 2014): one step of the generator from state `value`."""
    value = value + _GOLDEN
    value = (value ^ (value >> _SHIFTS[0])) * _FACTORS[0]
    value = (value ^ (value >> _SHIFTS[1])) * _FACTORS[1]
    return value ^ (value >> _SHIFTS[2])
