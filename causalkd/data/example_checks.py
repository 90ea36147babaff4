"""Checks of examples that users made: columns and labels that would be ignored or misread are refused."""

from collections.abc import Mapping, Sequence
from typing import Any

_UNREAD = {
    "labels": "labels are read from `label`: rename the column",
    "label_ids": "labels are read from `label`: rename the column",
    "position_ids": "a model's positions are counted from its first real token: leave the column out",
    "inputs_embeds": "rows are read as tokens: give `input_ids` alone",
}
"""Columns with a meaning for transformers that are not read here, and what to do."""
_OF_ALL = ("label", "token_type_ids", "documents")
"""Columns that all rows of a data set have, or none."""


def check_examples(rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuses rows that would be misread.

    Raises:
        ValueError: There are no rows, or one has no tokens, padding of its own, or a column that would not be read; or
            only some of them have a column.
    """
    if not rows:
        raise ValueError("a batch of no examples was asked for; give at least one")
    empty = [number for number, row in enumerate(rows) if not len(row["input_ids"])]
    if empty:
        raise ValueError(f"examples without any token, by index in the batch: {empty}. Leave them out")
    for name, todo in _UNREAD.items():
        if any(name in row and ("label" not in row or "label" not in name) for row in rows):
            raise ValueError(f"the examples have `{name}`, but {todo}")
    padded = [number for number, row in enumerate(rows) if "attention_mask" in row and not all(row["attention_mask"])]
    if padded:
        raise ValueError(
            f"examples with padding of their own (zeros in attention_mask), by index in the batch: {padded}. Batches "
            "are padded when they are made; tokenise without `padding`"
        )
    for name in _OF_ALL:
        lacking = [number for number, row in enumerate(rows) if name not in row]
        if 0 < len(lacking) < len(rows):
            raise ValueError(f"examples without `{name}`, which others have, by index in the batch: {lacking}")


def per_token(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the labels are lists, one label for each token (or several for each row, all equally many).

    Raises:
        ValueError: They are lists of other lengths than the tokens.
    """
    labels = [row["label"] for row in rows]
    if not all(isinstance(label, list) or getattr(label, "ndim", 0) == 1 for label in labels):
        return False
    wrong = [number for number, row in enumerate(rows) if len(row["label"]) != len(row["input_ids"])]
    if wrong and len({len(label) for label in labels}) > 1:
        number = wrong[0]
        raise ValueError(
            f"examples with another number of labels than of tokens, by index in the batch: {wrong}; the first has "
            f"{len(labels[number])} labels and {len(rows[number]['input_ids'])} tokens. Give one label for each token, "
            "-100 where none counts"
        )
    return True
