"""One batch: the inputs of a forward pass, their labels, and the sources and positions of an intervention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from causalkd.data.example_checks import check_examples, per_token
from causalkd.data.positions import Positions

Inputs = Mapping[str, Tensor]
"""The inputs of a stock forward pass: `input_ids`, `attention_mask`, for some models `token_type_ids`; never labels.
Packed rows have `documents`: the number of each token's document from 1; attention stays inside a document."""
Example = Mapping[str, Any]
"""One row of data before padding: `input_ids`, perhaps `token_type_ids` and `documents`; `label` (a class, a
number, one per token with -100 where none counts, a tuple of 0 and 1 for several labels a row, or the (start, end)
tokens of an answer); perhaps `segments`, {name:
(start, stop)} in tokens of the unpadded row, and `text`; and `student`, the same row as a student with another
tokenizer reads it (see `causalkd.data.tasks.two_tokenizers`)."""
NestedTensors = Mapping[str, Any]
"""Mappings of mappings of tensors; numbers that stay on the host are tuples."""
PaddingSide = Literal["left", "right"]
Reader = Literal["teacher", "student"]
"""The role of the model that reads a row."""
READERS: tuple[Reader, ...] = get_args(Reader)

IGNORED = -100
"""The label of a position or row without a label."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Base rows, their labels, the source of each and the positions of the intervention."""

    inputs: Inputs
    labels: Tensor | None = None
    """Shape (batch,), (batch, pos), for several labels a row (batch, label), or for the two ends of an answer
    (batch, 2)."""
    source: Inputs | None = None
    """Separate source rows, one for each base row, perhaps of another width."""
    source_rows: Int[Tensor, "batch"] | None = None
    """Instead of `source`: the row of this batch that is the source of each row."""
    positions: Mapping[str, Positions] = field(default_factory=dict)
    """The positions of the intervention, by the name of the site pair."""
    index: Int[Tensor, "batch"] | None = None
    """Example numbers of the base rows."""
    host_index: tuple[int, ...] | None = None
    """`index` once more, as numbers that stay on the host when the batch moves to a device."""
    predicting: Mapping[str, Int[Tensor, "item"]] = field(default_factory=dict)
    """The positions where per-token heads predict, counted through the rows; see `token_mask.with_positions`."""
    student: "Batch | None" = None
    """The same rows, sources and positions in the student's tokens, if its tokenizer is not the teacher's."""
    answerable: Bool[Tensor, "batch pos"] | None = None
    """The tokens among which an answer may lie: those of the context, and the one that means "there is no answer".
    None if the examples do not say it; then every real token is one."""
    questions: Int[Tensor, "batch 2"] | None = None
    """The number of the question whose context window each base row and each source row is; None outside question
    answering."""
    source_labels: Tensor | None = None
    """The labels of separate sources, which count where these become base (DIITO's crossway)."""

    def __post_init__(self):
        if self.source is not None and self.source_rows is not None:
            raise ValueError("a batch has `source` or `source_rows`, not both: give one of them")

    def read_by(self, role: Reader) -> "Batch":
        """The batch in the tokens of the model of this role."""
        return self.student if role == "student" and self.student is not None else self

    @property
    def counted(self) -> Bool[Tensor, "batch pos"]:
        """True at the real tokens of base, false at padding."""
        return self.inputs["attention_mask"].bool()

    @cached_property
    def numbers(self) -> Int[Tensor, "batch"]:
        """`index` on the host, where random draws need it: copied from a device once; otherwise the rows' own."""
        if self.host_index is not None:
            return torch.tensor(self.host_index)
        return torch.arange(len(self.counted)) if self.index is None else self.index.cpu()

    @property
    def source_counted(self) -> Bool[Tensor, "batch source_pos"]:
        """True at the real tokens of each row's source.

        Raises ValueError if the batch has no sources.
        """
        if self.source is not None:
            return self.source["attention_mask"].bool()
        if self.source_rows is not None:
            return self.counted[self.source_rows]
        raise ValueError("this batch has no sources; collate it with position policies")

    def tensors(self) -> NestedTensors:
        """The batch as nested dicts of tensors, parts that are None left out: what a Trainer moves to its device."""
        names = ("labels", "source_rows", "index", "answerable", "questions", "source_labels")
        optional = {name: getattr(self, name) for name in names}
        nested: dict[str, Any] = {"inputs": dict(self.inputs)}
        nested |= {name: tensor for name, tensor in optional.items() if tensor is not None}
        if self.source is not None:
            nested["source"] = dict(self.source)
        if self.host_index is not None:
            nested["host_index"] = self.host_index
        if self.predicting:
            nested["predicting"] = dict(self.predicting)
        if self.student is not None:
            nested["student"] = self.student.tensors()
        if self.positions:
            nested["positions"] = {
                name: {"base": drawn.base, "source": drawn.source, "valid": drawn.valid}
                for name, drawn in self.positions.items()
            }
        return nested

    @classmethod
    def from_tensors(cls, nested: NestedTensors) -> "Batch":
        """The batch that `tensors` gave; its positions are not checked again, as a collator draws no wrong ones.

        Raises ValueError for a batch of another collator.
        """
        if "inputs" not in nested:
            raise ValueError(
                f"the batch has the keys {', '.join(nested)}, so another collator than PairingCollator made it, such "
                "as transformers' DataCollatorWithPadding. Give the trainer data_collator=PairingCollator(examples, …) "
                "and train_dataset=ExampleSet(examples)"
            )
        positions = {name: Positions(**drawn, is_checked=True) for name, drawn in nested.get("positions", {}).items()}
        student = cls.from_tensors(nested["student"]) if "student" in nested else None
        return cls(**{**nested, "positions": positions, "student": student})

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on a device."""

        def move(part: Any) -> Any:
            if isinstance(part, Mapping):
                return {name: move(value) for name, value in part.items()}
            return part.to(device) if isinstance(part, Tensor) else part

        positions = {name: drawn.to(device) for name, drawn in self.positions.items()}
        student = None if self.student is None else self.student.to(device)
        return replace(Batch.from_tensors(move(self.tensors())), positions=positions, student=student)


def row_of(example: Example, reader: Reader) -> Example:
    """The row in the tokens of the model of this role."""
    return example.get("student", example) if reader == "student" else example


def check_one_reading(batch: Batch, what: str) -> None:
    """Refuses a batch of two tokenizers for a comparison of models token by token.

    Raises:
        ValueError: The student has tokens of its own; `what` names the comparison.
    """
    if batch.student is not None:
        raise ValueError(
            f"{what} compares models token by token, and with different tokenizers their tokens do not correspond; use "
            "a student that reads the teacher's tokens"
        )


def pad(examples: Sequence[Example], pad_id: int, side: PaddingSide = "right") -> Inputs:
    """The examples as one rectangle of tokens, as wide as the longest; `token_type_ids` and `documents` if all have
    them.

    Raises ValueError for examples that would be misread: see `example_checks`.
    """
    check_examples(examples)
    rows = [example["input_ids"] for example in examples]
    inputs = {
        "input_ids": pad_rows(rows, pad_id, side),
        "attention_mask": pad_rows([[1] * len(row) for row in rows], 0, side),
    }
    for further in ("token_type_ids", "documents"):
        if all(further in example for example in examples):
            inputs[further] = pad_rows([example[further] for example in examples], 0, side)
    return inputs


def pad_labels(examples: Sequence[Example], side: PaddingSide = "right") -> Tensor | None:
    """The labels of the examples: one per token padded with -100, or stacked; None if they have none.

    The ends of answers are counted from the row's first token, and come back as positions of the padded row.
    Raises ValueError for lists of labels that are not one for each token.
    """
    if not all("label" in example for example in examples):
        return None
    labels = [example["label"] for example in examples]
    one_each = per_token(examples)
    if _are_answers(examples):
        return _at_their_places(examples, torch.tensor([[int(each) for each in ends] for ends in labels]), side)
    if not one_each:
        return torch.tensor(labels)
    return pad_rows([label if isinstance(label, list) else label.tolist() for label in labels], IGNORED, side)


def _are_answers(examples: Sequence[Example]) -> bool:
    """Whether labels are the two ends of answers: if rows do not say so, two whole numbers other than 0 and 1 that are
    not labels of two tokens each.
    """
    if all("null" in example for example in examples):
        return True
    labels = [example["label"] for example in examples]
    labels = [label.tolist() if hasattr(label, "tolist") else label for label in labels]
    if not all(isinstance(label, tuple | list) and len(label) == 2 for label in labels):
        return False
    if not all(isinstance(label, tuple) for label in labels) and all(len(row["input_ids"]) == 2 for row in examples):
        return False
    numbers = [each for label in labels for each in label]
    return all(isinstance(each, Integral) for each in numbers) and max(numbers) > 1


def _at_their_places(
    examples: Sequence[Example], ends: Int[Tensor, "batch 2"], side: PaddingSide
) -> Int[Tensor, "batch 2"]:
    lengths = torch.tensor([len(example["input_ids"]) for example in examples])
    begins = lengths.max() - lengths if side == "left" else torch.zeros_like(lengths)
    return ends.where(ends == IGNORED, ends + begins[:, None])


def pad_answerable(examples: Sequence[Example], side: PaddingSide = "right") -> Bool[Tensor, "batch pos"] | None:
    """The tokens of each row among which an answer may lie, as `Batch.answerable`; None outside question answering."""
    if not all("null" in example for example in examples):
        return None
    rows = []
    for example in examples:
        start, stop = example["segments"].get("second", (0, 0))
        inside = [start <= token < stop or token == example["null"] for token in range(len(example["input_ids"]))]
        rows.append([int(each) for each in inside])
    return pad_rows(rows, 0, side).bool()


def questions_of(*sides: Sequence[Example]) -> Int[Tensor, "batch side"] | None:
    """The number of the question whose window each row of each side is; None for rows that are not windows."""
    if not all("question" in example for side in sides for example in side):
        return None
    return torch.tensor([[example["question"] for example in side] for side in sides]).T


def pad_rows(rows: Sequence[Sequence[int]], filler: int, side: PaddingSide) -> Int[Tensor, "batch pos"]:
    """Rows of whole numbers, padded to the longest on one side."""
    width = max(len(row) for row in rows)
    if side == "left":
        return torch.tensor([[filler] * (width - len(row)) + list(row) for row in rows])
    return torch.tensor([list(row) + [filler] * (width - len(row)) for row in rows])
