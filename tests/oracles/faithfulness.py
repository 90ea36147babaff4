"""Faithfulness by loops: one row, one view, one removal at a time."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import permutations
from math import ceil

import torch
from torch import Tensor
from transformers import PreTrainedModel

Value = Callable[[Sequence[int]], float]
"""What is explained, once some positions are hidden."""


def value_of(model: PreTrainedModel, inputs: dict[str, Tensor], row: int, choice: int, position: int | None) -> Value:
    """A class's probability, a token's at a position, or the number of a head with one output; of a row unpadded."""
    real = inputs["attention_mask"][row].nonzero()[:, 0]
    first = int(real[0])
    text = {name: tensor[row : row + 1, real] for name, tensor in inputs.items()}

    @cache
    def without(hidden: frozenset[int]) -> float:
        mask = text["attention_mask"].clone()
        mask[0, [token - first for token in hidden]] = 0
        with torch.no_grad():
            logits = model(**{**text, "attention_mask": mask}).logits[0]
        logits = logits if position is None else logits[position - first]
        return float(logits[0] if len(logits) == 1 else logits.softmax(-1)[choice])

    return lambda hidden: without(frozenset(hidden))


def aopc(value: Value, order: Sequence[int], portions: int) -> float:
    """The mean fall over the portions of an order."""
    cuts = sorted({ceil(j * len(order) / portions) for j in range(1, portions + 1)})
    return sum(value([]) - value(order[:cut]) for cut in cuts) / len(cuts)


def greedy(value: Value, tokens: Sequence[int], best: bool) -> list[int]:
    """Token by token the one whose loss now lowers the value most, or least."""
    order: list[int] = []
    while len(order) < len(tokens):
        left = [token for token in tokens if token not in order]
        order.append((min if best else max)(left, key=lambda token: value([*order, token])))
    return order


def extremes(value: Value, tokens: Sequence[int], portions: int) -> tuple[float, float]:
    """The lowest and the highest AOPC over every order."""
    found = [aopc(value, order, portions) for order in permutations(tokens)]
    return min(found), max(found)
