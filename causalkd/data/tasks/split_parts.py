"""Parts of a split: drawn from it, or a slice of a hub data set such as `train[:10%]`, and which rows two share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PartOf:
    """A split that is drawn from another, which then lacks these rows."""

    split: str
    share: float
    seed: int = 0


def drawn_parts(parts: Mapping[str, object], split: str, size: int) -> dict[str, list[int]]:
    """The numbers of the rows of every split that is drawn from this one of `size` rows; no row is drawn for two."""
    found, left = {}, list(range(size))
    for name, part in parts.items():
        if isinstance(part, PartOf) and part.split == split:
            found[name] = [left[place] for place in _drawn(size, len(left), part)]
            left = sorted(set(left) - set(found[name]))
    return found


def sliced_splits(slices: str, every: Sequence[str]) -> list[str]:
    """The splits of a hub data set that a name such as `train[:10%]+test` takes rows of; `all` is every one."""
    return list(every) if slices == "all" else [part.partition("[")[0].strip() for part in slices.split("+")]


def shared_rows(one: str, other: str, sizes: Mapping[str, int]) -> int:
    """The number of rows that two splits or slices of splits share, given the number of rows of each named split."""
    from datasets import ReadInstruction

    first, second = (
        ReadInstruction.from_spec("+".join(sizes) if slices == "all" else slices).to_absolute(sizes)
        for slices in (one, other)
    )
    both = [(a, b) for a in first for b in second if a.splitname == b.splitname]
    return sum(max(0, min(a.to, b.to) - max(a.from_, b.from_)) for a, b in both)


def _drawn(size: int, left: int, part: PartOf) -> list[int]:
    """The places of the drawn rows among those that are left of so many."""
    count = max(1, round(size * part.share))
    if count >= left or not 0 < part.share < 1:
        others = "" if left == size else f", of which other splits have {size - left},"
        raise ValueError(
            f"{part.share} of {size} rows{others} leaves one of both parts empty. Give more rows, a file for the "
            "split, or, of long texts, `heldout_share` instead of a split: it divides what they are cut into"
        )
    return sorted(np.random.default_rng(part.seed).permutation(left)[:count].tolist())
