"""Examples of two models with different tokenizers: every row as each of them reads it, and what corresponds."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from causalkd.data.batch import IGNORED, Example
from causalkd.data.pieces import shared_pieces
from causalkd.data.tasks.loading import Examples
from causalkd.data.tasks.packed_rows import PackedRows
from causalkd.task_types import Task

OVER_LABELS: tuple[Task, ...] = ("classification", "multi_label", "regression", "token_classification")
"""The tasks whose predictions are over labels, and so can be compared whatever the tokens are."""


def read_twice(teacher: Examples, student: Examples, student_pad_id: int) -> Examples:
    """The teacher's examples, each with the same row as the student reads it.

    That row is under `student`: its tokens, for tagging which of them are `labelled`, and the `pieces` that both models
    read (see `shared_pieces`), on which positions of an intervention are carried from one model to the other. A tagged
    word is labelled in both rows, at its first token, if each model has a token of it. The labels of the teacher's own
    reading are kept under `alone`; see `in_teachers_tokens`.

    Args:
        teacher: The examples in the teacher's tokens, loaded with `with_extents=True`.
        student: The same rows in the student's tokens, loaded with `with_extents=True`.
        student_pad_id: The id of the student's padding token.

    Raises:
        ValueError: The predictions are not over labels, the rows are not the same, or were loaded without extents.
    """
    _check(teacher, student)
    lost = 0

    def made() -> Iterator[dict[str, Any]]:
        nonlocal lost
        for own, other in zip(teacher.examples, student.examples, strict=True):
            row, read = dict(own), {name: other[name] for name in ("input_ids", "token_type_ids") if name in other}
            read["pieces"] = [list(piece) for piece in shared_pieces(row.pop("extents"), other["extents"])]
            if teacher.kind == "token_classification":
                words = sorted(set(own["words"]) & set(other["words"]))
                lost += len(own["tags"]) - len(words)
                kept = _places(own, words)
                label = [value if place in kept else IGNORED for place, value in enumerate(own["label"])]
                row |= {"label": label, "words": words, "alone": {name: own[name] for name in ("label", "words")}}
                read["labelled"] = _places(other, words)
            yield row | {"student": read}

    rows = PackedRows(made())
    cut = student.truncated
    return replace(teacher, examples=rows, lost=lost, student_pad_id=student_pad_id, student_truncated=cut)


def in_teachers_tokens(examples: Examples) -> Examples:
    """The examples as the teacher alone reads them: without the student's rows, with every label that it has."""
    if examples.student_pad_id is None:
        return examples
    rows = PackedRows(
        {name: value for name, value in row.items() if name not in ("student", "alone")} | row.get("alone", {})
        for row in examples.examples
    )
    if examples.kind == "token_classification":
        examples = replace(examples, lost=sum(len(row["tags"]) - len(row["words"]) for row in rows))
    return replace(examples, examples=rows, student_pad_id=None, student_truncated=0)


def carried(examples: Examples) -> str | None:
    """The number of the student's tokens with a counterpart of the teacher's, in words; None if both read the same.

    An intervention reaches no other token of the student, and those only if source has as many tokens as base.
    Costs a pass over the rows.
    """
    if examples.student_pad_id is None:
        return None
    found = total = 0
    for row in examples.examples:
        read = row["student"]
        total += len(read["input_ids"])
        found += sum(stop - start for *_, start, stop in read["pieces"])
    return (
        f"{found} of {total} tokens of the students' own tokenizer ({found / total:.1%}) lie in parts of the text that "
        "are whole tokens of both tokenizers; no intervention reaches the others"
    )


def _places(example: Example, words: Sequence[int]) -> list[int]:
    """The labelled tokens of some words."""
    labelled = [place for place, label in enumerate(example["label"]) if label != IGNORED]
    return [place for place, word in zip(labelled, example["words"], strict=True) if word in words]


def _check(teacher: Examples, student: Examples) -> None:
    if teacher.kind not in OVER_LABELS:
        raise ValueError(
            f"the predictions of {teacher.kind} are over tokens, which models of different tokenizers do not share; "
            "use models of one tokenizer"
        )
    if _identity(teacher) != _identity(student):
        raise ValueError(
            "the teacher's and the student's examples are not of the same rows; load both with the same task, split, "
            "limit and seed"
        )
    if not all("extents" in example for examples in (teacher, student) for example in examples.examples):
        raise ValueError("the examples lack the extents of their tokens; load them with with_extents=True")


def _identity(examples: Examples) -> list[Any]:
    """The values that two readings of the same rows have in common."""
    named = "tags" if examples.kind == "token_classification" else "label"
    return [examples.kind, examples.labels, *(example[named] for example in examples.examples)]
