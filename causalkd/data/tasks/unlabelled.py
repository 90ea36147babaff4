"""Splits of own data that have inputs but no labels, of which predictions can be made and nothing can be measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from causalkd.data.tasks.data_files import Table
from causalkd.data.tasks.labels import declared_names, is_missing, named
from causalkd.data.tasks.own_data import OwnData
from causalkd.task_types import Task

OUTPUTS = ("label", "labels", "tags", "answers", "output")
"""The roles of columns that a model learns to predict; the others are its input."""
PREDICTED: tuple[Task, ...] = ("classification", "multi_label", "regression", "token_classification")
"""The tasks whose predictions need nothing but the input."""


def lacks_labels(columns: Mapping[str, Sequence[str]], table: Table) -> bool:
    """Whether a table has the columns of the input, but none of the labels', or no value in these.

    Args:
        columns: The columns of each role, as the training rows have them.
        table: The rows of another split.
    """
    labels = [column for role in OUTPUTS for column in columns.get(role, ())]
    inputs = [column for role, names in columns.items() if role not in OUTPUTS for column in names]
    if not labels or not set(inputs) <= set(table.columns):
        return False
    here = [column for column in labels if column in table.columns]
    if 0 < len(here) < len(labels):
        return False
    return all(is_missing(value) for column in here for value in _values(table, column))


def readable(own: OwnData, split: str, table: Table, *, may_lack_labels: bool) -> tuple[Table, bool]:
    """The rows of a split, and whether they have no labels; they then have one that means nothing.

    Args:
        own: The data; the columns are those of its training rows.
        split: The name of the split.
        table: Its rows.
        may_lack_labels: Whether predictions alone are wanted.

    Raises:
        ValueError: The rows have no labels, and these are needed.
    """
    if split == "train" or "train" not in own.known_splits:
        return table, False
    columns = own.columns_of(own.table("train"))
    if not lacks_labels(columns, table):
        return table, False
    if may_lack_labels and own.task in PREDICTED:
        return with_some_labels(columns, table, own.label_names()), True
    named = [repr(column) for role in OUTPUTS for column in columns.get(role, ())]
    may = (
        ". Predictions alone are written by `causalkd evaluate`, or `evaluate_task` with `unlabelled=True`"
        if own.task in PREDICTED
        else ""
    )
    raise ValueError(
        f"{table.origin}, the split {split!r}, has no labels (nothing in {', '.join(named)}), so nothing can be "
        f"measured on it. Add that column to these rows, or name another split{may}"
    )


def with_some_labels(columns: Mapping[str, Sequence[str]], table: Table, names: Sequence[str]) -> Table:
    """The rows with a label that means nothing in each, so that they can be read as those that have one."""
    rows, size = table.rows, len(table.rows)
    for role in ("label", "labels", "tags"):
        for column in columns.get(role, ()):
            some: Any = [names[0] if names else 0.0] * size
            if role == "labels":
                some = [0] * size if len(columns[role]) > 1 else [[names[0]]] * size
            if role == "tags":
                some = [[names[0]] * len(words or ()) for words in rows[columns["words"][0]]]
            rows = rows.remove_columns([column] if column in rows.column_names else []).add_column(column, some)
    return Table(rows, table.origin, table.numbers)


def _values(table: Table, column: str) -> list[Any]:
    return named(list(table.rows[column]), declared_names(table.rows, column))
