"""Rows of text rearranged for another way of scoring a language model: with more context, or token by token."""

from collections.abc import Sequence
from typing import Any

from causalkd.data.batch import IGNORED, Example


def overlapping_rows(examples: Sequence[Example], stride: int) -> list[dict[str, Any]]:
    """The same text in rows that overlap, each labelled at what no earlier row has scored.

    Each row moves on by `stride` tokens, so that every token but those of the first row is predicted with at least
    (length of a row − stride) tokens before it. The first token of the text is scored only if a special token precedes
    it, as in rows without overlap. In rows without overlap the first tokens have little context, and perplexity is too
    high.

    Args:
        examples: Rows of a causal LM that follow each other in one text, as `block_rows` makes them.
        stride: Tokens that a row moves on by; as many as a row has of text leaves no overlap.

    Raises:
        ValueError: A stride that is not between 1 and the tokens of text in a row.
    """
    start, stop = examples[0]["segments"]["text"]
    size = stop - start
    if not 1 <= stride <= size:
        raise ValueError(f"stride is {stride}, but a row has {size} tokens of text; give 1 to {size}")
    before, after = list(examples[0]["input_ids"][:start]), list(examples[0]["input_ids"][stop:])
    stream = [token for example in examples for token in example["input_ids"][slice(*example["segments"]["text"])]]
    stream += getattr(examples, "left_over", [])
    rows, scored = [], 0 if before else 1
    for first in range(0, len(stream), stride):
        part = stream[first : first + size]
        new = [token if first + place >= scored else IGNORED for place, token in enumerate(part)]
        labels = [IGNORED] * len(before) + new + [IGNORED] * len(after)
        segments = {"text": (len(before), len(before) + len(part))}
        if any(label != IGNORED for label in new):
            rows.append({"input_ids": before + part + after, "label": labels, "segments": segments})
        scored = max(scored, first + len(part))
        if scored >= len(stream):
            break
    return rows


def one_mask_each(examples: Sequence[Example], mask_id: int) -> list[dict[str, Any]]:
    """Makes a row for every token of every text, in which this token alone is masked and predicted.

    The mean loss over them is the pseudo-log-likelihood per token, its exponential the pseudo-perplexity (Salazar et
    al. 2020, arXiv 1910.14659). There are as many rows as tokens.
    """
    rows = []
    for example in examples:
        ids = list(example["input_ids"])
        for place in range(*example["segments"]["text"]):
            label = [IGNORED] * len(ids)
            label[place] = ids[place]
            rows.append({**example, "input_ids": [*ids[:place], mask_id, *ids[place + 1 :]], "label": label})
    return rows
