"""Every kind of rows: the head that it is for, the columns that it needs, and the names by which these are found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from causalkd.data.tasks.kinds import Kind, Metric
from causalkd.task_types import Task


@dataclass(frozen=True)
class RowKind:
    """The required columns of a kind of rows."""

    task: Task
    roles: Mapping[str, tuple[str, ...]]
    """A role of a column, and the names by which it is found where none is given."""
    metric: Metric
    optional: tuple[str, ...] = ()
    """Roles that need no column."""


_TEXT = ("text", "sentence", "content", "document", "review")
_LABEL = ("label", "labels", "class", "category", "gold_label", "target")
ROW_KINDS: Mapping[Kind, RowKind] = {
    "classification": RowKind("classification", {"text": _TEXT, "label": _LABEL}, "accuracy"),
    "multi_label": RowKind("multi_label", {"text": _TEXT, "labels": ("labels", "label", "classes")}, "micro_f1"),
    "regression": RowKind("regression", {"text": _TEXT, "label": ("label", "score", "similarity")}, "spearman"),
    "token_classification": RowKind(
        "token_classification",
        {"words": ("words", "tokens"), "tags": ("tags", "ner_tags", "labels", "pos_tags")},
        "entity_f1",
    ),
    "question_answering": RowKind(
        "question_answering",
        {"question": ("question",), "context": ("context",), "answers": ("answers",)},
        "answer_f1",
    ),
    "masked_lm": RowKind("masked_lm", {"text": _TEXT}, "perplexity"),
    "causal_lm": RowKind("causal_lm", {"text": _TEXT}, "perplexity"),
    "instructions": RowKind(
        "causal_lm",
        {
            "instruction": ("instruction", "prompt"),
            "input": ("input", "context"),
            "output": ("output", "response", "completion"),
        },
        "perplexity",
        ("input",),
    ),
    "chat": RowKind("causal_lm", {"messages": ("messages", "conversations", "conversation")}, "perplexity"),
}
"""Every kind of rows."""
MOST_COLUMNS = 1000
"""This is for labels that have a column each."""
TEXT_PAIRS = (
    *(("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"), ("text_a", "text_b")),
    *(("question", "sentence"), ("question", "text")),
)
"""Columns that are taken for the two texts of a pair if no `text` is named."""
PAIRED: tuple[Task, ...] = ("classification", "multi_label", "regression")
"""The tasks that read one text or a pair of them."""


def usual_column(names: Iterable[str], columns: Sequence[str]) -> str | None:
    """The column that has the first of these usual names, in capitals or not and with blanks around it or not."""
    plain = {column.strip().casefold(): column for column in reversed(columns)}
    plain |= {column: column for column in columns}
    return next((plain[name] for name in names if name in plain), None)


def usual_pair(columns: Sequence[str]) -> tuple[str, ...]:
    """The two columns that are taken for a pair of texts by their names; empty if there are none."""
    pairs = (tuple(usual_column((name,), columns) for name in pair) for pair in TEXT_PAIRS)
    return next((tuple(name for name in pair if name) for pair in pairs if all(pair)), ())
