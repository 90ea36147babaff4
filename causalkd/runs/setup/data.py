"""The data of a recipe: both splits with their tokenizers, and checks of their rows."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from transformers import PreTrainedTokenizerBase

from causalkd.data.batch import Reader
from causalkd.data.packing import pack
from causalkd.data.tasks.encode import unknown_share
from causalkd.data.tasks.generated import generated_task
from causalkd.data.tasks.loading import USUAL_LENGTH, Examples, load_examples
from causalkd.data.tasks.own_data import OwnData
from causalkd.data.tasks.packed_rows import PackedRows
from causalkd.data.tasks.raw_rows import drawn_rows
from causalkd.data.tasks.split_parts import PartOf
from causalkd.data.tasks.two_tokenizers import OVER_LABELS, in_teachers_tokens, read_twice
from causalkd.models.checkpoints import read_config
from causalkd.models.fitting_models import OTHER_TOKENIZERS
from causalkd.recipe.sections import DataPart, StudentPart, TeacherPart
from causalkd.runs.setup.tokenizers import students_tokenizer, tokenizer_of, with_padding
from causalkd.verification.measures.metrics import check_metrics

_COUNTS = ("truncated", "lost", "left_out", "empty", "student_truncated")
"""Counts that are known only of all rows together, and not of the parts that they are divided into."""
_READ_FOR_WORDS = 1000
"""The number of training rows that are read to check whether a tokenizer knows their words."""


@dataclass(frozen=True, eq=False)
class Data:
    """A task's examples, and the tokenizers that they were made with."""

    train: Examples
    heldout: Examples
    tokenizer: PreTrainedTokenizerBase
    student_tokenizer: PreTrainedTokenizerBase | None = None
    """The students' tokenizer, if it is another than the teacher's; the examples then hold both readings."""

    @cached_property
    def identity(self) -> dict[str, dict[str, Any]]:
        """Origin, rows and digest of the tokens of each split; another tokenizer makes other data."""
        return {"train": _identity(self.train), "heldout": _identity(self.heldout)}

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Label names, if the task has labels."""
        return self.train.labels or None

    def tokenizer_of(self, reader: Reader) -> PreTrainedTokenizerBase:
        """The tokenizer of the model of this role."""
        return self.student_tokenizer or self.tokenizer if reader == "student" else self.tokenizer

    def in_teachers_tokens(self) -> "Data":
        """The data as the teacher alone reads them, including for its own training."""
        return Data(in_teachers_tokens(self.train), in_teachers_tokens(self.heldout), self.tokenizer)


def _identity(split: Examples) -> dict[str, Any]:
    digest = hashlib.sha256(json.dumps([split.kind, split.labels]).encode())
    for example in split.examples:
        # What earlier versions did not keep: labels for a teacher alone, and that all questions have answers.
        kept = {key: value for key, value in example.items() if key != "alone" and (key != "may_lack" or value)}
        digest.update(json.dumps(kept, sort_keys=True).encode() + b"\n")
    return {"origin": split.origin, "rows": len(split.examples), "sha256": digest.hexdigest()}


def build_data(part: DataPart, teacher: TeacherPart, students: Sequence[StudentPart] = ()) -> Data:
    """Load both splits of the recipe's task, with the teacher's tokenizer, or both parts of its training split.

    If the students have another tokenizer, every row is also read with that one; see `read_twice`.

    Raises:
        ValueError: The task is unknown, its data are missing, a split is empty, both are the same rows, a metric is
            for another kind, the tokenizer knows no word, or students have another tokenizer and predictions are over
            tokens.
    """
    tokenizer = with_padding(tokenizer_of(part, teacher))
    other = students_tokenizer(students, tokenizer)

    def load(split: str, limit: int | None) -> Examples:
        examples = _read(part, split, limit, tokenizer, with_extents=other is not None)
        return examples if other is None else _read_by_both(examples, part, split, limit, other)

    train = _in_order_of(load("train", part.train_limit), teacher)
    if part.heldout_share is None:
        heldout = _in_order_of(load("validation", part.eval_limit), teacher)
        _check_apart(train, heldout, part)
    else:
        train, heldout = _divided(train, part)
    _check_words(train, tokenizer)
    check_metrics(train.kind, (train.metric, *train.further), train.labels)
    if part.packing:
        train = replace(train, examples=_packed(train, longest_row(part, tokenizer)))
    return Data(train, heldout, tokenizer, other)


def _read(
    part: DataPart, split: str, limit: int | None, tokenizer: PreTrainedTokenizerBase, *, with_extents: bool
) -> Examples:
    longest, options = longest_row(part, tokenizer), {"seed": part.seed, "prompt": part.prompt}
    return load_examples(data_of(part), split, tokenizer, limit, longest, **options, with_extents=with_extents)


def _read_by_both(
    examples: Examples, part: DataPart, split: str, limit: int | None, tokenizer: PreTrainedTokenizerBase
) -> Examples:
    """The teacher's examples together with the students' reading of them."""
    what = "the students have another tokenizer than the teacher"
    if examples.kind not in OVER_LABELS:
        raise ValueError(f"{what}, and predictions of {examples.kind} are over tokens{OTHER_TOKENIZERS}")
    assert isinstance(tokenizer.pad_token_id, int)
    try:
        return read_twice(examples, _read(part, split, limit, tokenizer, with_extents=True), tokenizer.pad_token_id)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error


def _check_words(train: Examples, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuses a tokenizer that knows no word of the rows read, so that all rows are the same to it."""
    rows = [train.examples[number]["input_ids"] for number in range(min(len(train.examples), _READ_FOR_WORDS))]
    if unknown_share(tokenizer, rows) == 1:
        raise ValueError(
            f"the tokenizer knows none of the words of the first {len(rows)} training rows: every token is "
            f"{tokenizer.unk_token!r}, out of a vocabulary of {len(tokenizer)}. Give `data.tokenizer`, or a teacher, "
            "that was made for such text"
        )


def _check_apart(train: Examples, heldout: Examples, part: DataPart) -> None:
    given = data_of(part)
    if isinstance(given, str):
        return
    for split in ("validation", "test"):
        shared = given.shared("train", split)
        same = split == "validation" and heldout.origin == train.origin
        if same or shared:
            rows = train.origin if same else ", ".join(shared[:5])
            raise ValueError(
                f"the training and the {split} split are the same rows, or share some: {rows}; so models would be "
                f"measured on what they learn from. Name other rows as `data.splits.{split}`, or a part: "
                "{part_of: train, share: 0.1}"
            )


def _divided(train: Examples, part: DataPart) -> tuple[Examples, Examples]:
    """The remaining training examples, and those that are held out, at most `eval_limit`."""
    if train.kind == "question_answering":
        raise ValueError(
            "data.heldout_share: the windows of one question would be on both sides; give `path` with `splits` instead"
        )
    size = len(train.examples)
    number = round((part.heldout_share or 0) * size)
    if not 2 <= number <= size - 2:
        raise ValueError(
            f"data.heldout_share: {part.heldout_share} of {size} training examples are {number}; hold out at least 2, "
            "and leave at least 2"
        )
    drawn = drawn_rows(size, number, part.seed)
    heldout = [train.examples[drawn[index]] for index in drawn_rows(number, part.eval_limit, part.seed)]
    kept = (train.examples[row] for row in sorted(set(range(size)) - set(drawn)))
    made = None if part.task is None else generated_task(part.task)
    if made is not None:  # generated tasks may make a row twice
        taken = {tuple(train.examples[row]["input_ids"]) for row in drawn}
        kept = (row for row in kept if tuple(row["input_ids"]) not in taken)
        heldout = [made.of_heldout(row) for row in heldout]
    remaining = PackedRows(kept)
    of_all = f" (of all its rows {', '.join(train.notes())})" if train.notes() else ""
    origin, unknown = f"the training split, {train.origin}", dict.fromkeys(_COUNTS)
    without = f"without {size - len(remaining)} that are held out{'' if made is None else ' or equal one of these'}"
    return (
        replace(train, examples=remaining, origin=f"{origin}, {without}{of_all}", **unknown),
        replace(train, examples=PackedRows(heldout), origin=f"{origin}, held out{of_all}", **unknown),
    )


def _in_order_of(examples: Examples, teacher: TeacherPart) -> Examples:
    """The examples with the labels in the order of the teacher's checkpoint, if its names are the same ones."""
    if teacher.origin is None:
        return examples
    own: dict[Any, str] = dict(read_config(teacher.origin).id2label or {})
    return examples.in_label_order([own[number] for number in range(len(own))])


def data_of(part: DataPart) -> str | OwnData:
    """The name of the recipe's task, or `your own data`."""
    if part.path is None or part.kind is None:
        return part.data_name
    splits = {
        name: found if isinstance(found, str) else PartOf(found.part_of, found.share, found.seed)
        for name, found in part.splits.items()
    }
    own = OwnData(part.path, part.kind, part.columns, part.labels, splits, part.config, part.revision, part.metrics)
    return own if part.heldout_share is None or part.keep_validation else replace(own, validation_share=None)


def longest_row(part: DataPart, tokenizer: PreTrainedTokenizerBase) -> int:
    """The longest row in tokens."""
    return part.max_length or min(USUAL_LENGTH, tokenizer.model_max_length)


def _packed(train: Examples, longest: int) -> list[dict[str, Any]]:
    try:
        return pack(train.examples, longest)
    except ValueError as error:
        raise ValueError(f"data.packing: {error}") from None
