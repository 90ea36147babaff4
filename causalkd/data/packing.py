"""Short documents packed into one row, so that little of a batch is padding; attention stays inside each document."""

from collections.abc import Sequence
from typing import Any

from causalkd.data.batch import IGNORED, Example


def pack(examples: Sequence[Example], max_length: int) -> list[dict[str, Any]]:
    """The examples of a causal LM in as few rows of at most `max_length` tokens as best fit, longest first, makes them.

    Each row's `documents` number its tokens' examples from 1, which `HookedModel` turns into masks and positions. The
    first token of a document counts in no loss, because another document is before it. Segments are dropped.

    Raises ValueError for examples without one label per token, or longer than a row.
    """
    unfit = [n for n, example in enumerate(examples) if not isinstance(example.get("label"), list)]
    long = [n for n, example in enumerate(examples) if len(example["input_ids"]) > max_length]
    if unfit or long:
        fault = (
            "have no label per token, so only a causal LM's can be packed" if unfit else f"are over {max_length} tokens"
        )
        raise ValueError(f"examples {(unfit or long)[:5]} {fault}. Turn packing off, or give other examples")
    rows: list[list[Example]] = []
    with_room: dict[int, list[list[Example]]] = {}
    for example in sorted(examples, key=lambda each: len(each["input_ids"]), reverse=True):
        size = len(example["input_ids"])
        room = next((room for room in range(size, max_length) if with_room.get(room)), max_length)
        if room == max_length:
            rows.append([])
        row = rows[-1] if room == max_length else with_room[room].pop()
        row.append(example)
        with_room.setdefault(room - size, []).append(row)
    return [_joined(row) for row in rows]


def _joined(row: Sequence[Example]) -> dict[str, Any]:
    return {
        "input_ids": [token for example in row for token in example["input_ids"]],
        "label": [label for example in row for label in (IGNORED, *example["label"][1:])],
        "documents": [number for number, example in enumerate(row, 1) for _ in example["input_ids"]],
    }
