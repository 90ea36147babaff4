"""Select the pairs that a claim is tested on: any two examples, or only pairs that agree or differ in something.

Most uniformly drawn pairs may show little: if base and source have the same prediction, an intervention changes
nothing. A selection makes the test sharper and its claim narrower; the recipe records the selection.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from causalkd.data.batch import Example
from causalkd.data.pairs.collator import check_number, evaluation_pairs

Pairs = tuple[Int[Tensor, "pairs"], Int[Tensor, "pairs"]]
Fits = Callable[[Int[Tensor, "pairs"], Int[Tensor, "pairs"]], Bool[Tensor, "pairs"]]
"""The mask of selected pairs, given the numbers of their bases and sources."""


_AT_ONCE = 1 << 18
"""The number of pairs that are tested at a time, so that the memory does not grow with how few are suitable."""


def choose_pairs(examples: Sequence[Example], n: int, seed: int, fits: Fits) -> Pairs:
    """The first `n` suitable pairs of `evaluation_pairs`, which are drawn until there are enough.

    Costs 16 bytes for each pair that is chosen.

    Raises:
        ValueError: Fewer pairs fit.
    """
    size = len(examples)
    most = size * (size - 1)
    check_number(n, size)
    chosen: list[Pairs] = []
    found = drawn = 0
    while found < n and drawn < most:
        until = min(drawn + _AT_ONCE, most)
        base, source = evaluation_pairs(examples, until, seed, first=drawn)
        kept = fits(base, source)
        chosen.append((base[kept], source[kept]))
        found, drawn = found + int(kept.sum()), until
    if found < n:
        raise ValueError(
            f"{n} pairs were asked for, but of the {most} pairs of {size} examples only {found} are of "
            "the chosen kind. Give at most that number, or take more examples"
        )
    base, source = (torch.cat(side)[:n] for side in zip(*chosen, strict=True))
    return base, source


def same_length(examples: Sequence[Example]) -> Fits:
    """Base and source have as many tokens."""
    return _alike([len(example["input_ids"]) for example in examples])


def same_segments(examples: Sequence[Example]) -> Fits:
    """Base and source have the same named segments, each at the same tokens."""
    named = (example.get("segments", {}) for example in examples)
    return _alike([tuple(sorted((name, tuple(span)) for name, span in spans.items())) for spans in named])


def other_label(examples: Sequence[Example]) -> Fits:
    """Base and source differ in their label, or in one of several.

    Raises:
        ValueError: Examples have no label each, but one a token, or none.
    """
    labels = [example.get("label") for example in examples]
    if any("null" in example for example in examples) or not all(
        isinstance(label, int | float | tuple) for label in labels
    ):
        raise ValueError("other_label needs examples with one label each; this task has none, or one a token")
    return _differing(labels)


def other_variable(examples: Sequence[Example], values: Callable[[Example], object]) -> Fits:
    """Base and source differ in the value of one variable of a known causal model."""
    return _differing([values(example) for example in examples])


def both(right: Bool[Tensor, "example"]) -> Fits:
    """Base and source are both among these."""
    return lambda base, source: right[base] & right[source]


def _alike(keys: Sequence[object]) -> Fits:
    numbers = _numbered(keys)
    return lambda base, source: numbers[base] == numbers[source]


def _differing(keys: Sequence[object]) -> Fits:
    numbers = _numbered(keys)
    return lambda base, source: numbers[base] != numbers[source]


def _numbered(keys: Sequence[object]) -> Int[Tensor, "example"]:
    known: dict[object, int] = {}
    return torch.tensor([known.setdefault(key, len(known)) for key in keys])
