"""The kind of a table's rows, guessed from the names of its columns, and if those do not tell, from values."""

from typing import Any

from causalkd.data.tasks.data_files import Table
from causalkd.data.tasks.kinds import Kind
from causalkd.data.tasks.labels import is_missing
from causalkd.data.tasks.row_kinds import PAIRED, ROW_KINDS, usual_column, usual_pair
from causalkd.errors import few

SAMPLE = 2000
"""The number of rows that are looked at."""
_MOST_CLASSES = 20
"""The largest number of different values of a column that is taken for one of classes."""


def guess_kind(table: Table) -> Kind:
    """The kind of rows that the columns suggest.

    Raises ValueError if they suggest no kind.
    """
    names = table.columns
    for kind in ("chat", "question_answering", "token_classification", "instructions"):
        needed = [usual for role, usual in ROW_KINDS[kind].roles.items() if role not in ROW_KINDS[kind].optional]
        if all(usual_column(usual, names) for usual in needed):
            return kind
    pair = bool(usual_pair(names))
    usual = usual_column(ROW_KINDS["classification"].roles["text"], names) is not None
    label = usual_column(ROW_KINDS["classification"].roles["label"], names)
    if pair or usual:
        if usual_column(("score", "similarity"), names) or (label is not None and _is_score(table, label)):
            return "regression"
        if label is not None:
            return "multi_label" if _is_list(table, label) else "classification"
    guessed = guess_columns(table, "classification")
    if pair or usual or "text" in guessed:
        if label is not None or "label" in guessed:
            return "classification"
        if usual:
            return "causal_lm"
    raise ValueError(
        f"{table.origin} has the columns {few(table.columns)}, which are not named as those of any kind usually "
        f"are. Give --kind: {', '.join(ROW_KINDS)}"
    )


def guess_columns(table: Table, kind: Kind) -> dict[str, str]:
    """The columns that fill the roles of text and label by their values, where none is named as these usually are.

    The text is the column of the longest texts, and the label the only other column that has few different values.
    """
    head = table.select(range(min(SAMPLE, len(table.rows)))).rows
    columns = {name: list(head[name]) for name in table.columns}
    roles, found = ROW_KINDS[kind].roles, {}
    one = usual_column(roles.get("text", ()), table.columns)
    pair = usual_pair(table.columns) if ROW_KINDS[kind].task in PAIRED else ()
    text = pair or ((one,) if one else ())
    if "text" in roles and not text:
        lengths = {name: words for name, values in columns.items() if (words := _mean_words(values)) >= 2}
        if lengths:
            found["text"] = max(lengths, key=lambda name: lengths[name])
            text = (found["text"],)
    if kind == "classification" and usual_column(roles["label"], table.columns) is None:
        few = [name for name, values in columns.items() if name not in text and _has_classes(values)]
        found |= {"label": few[0]} if len(few) == 1 else {}
    return found


def _mean_words(values: list[Any]) -> float:
    """The mean number of words of a value; 0 if the values are not texts."""
    texts = [value for value in values if isinstance(value, str)]
    return sum(len(text.split()) for text in texts) / len(values) if len(texts) == len(values) else 0.0


def _has_classes(values: list[Any]) -> bool:
    known = [value for value in values if not is_missing(value)]
    if not all(isinstance(value, str | int) for value in known):
        return False
    return 2 <= len(set(known)) <= min(_MOST_CLASSES, len(known) / 2)


def _is_list(table: Table, column: str) -> bool:
    import datasets

    return isinstance(table.rows.features[column], datasets.List)


def _is_score(table: Table, column: str) -> bool:
    values = table.rows.select(range(min(SAMPLE, len(table.rows))))[column]
    try:
        return any(float(value) != int(float(value)) for value in values if not is_missing(value))
    except (TypeError, ValueError, OverflowError):
        return False
