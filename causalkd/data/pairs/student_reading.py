"""A batch in the tokens of a student with another tokenizer than the teacher's."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from causalkd.data.batch import IGNORED, Batch, Example, PaddingSide, pad
from causalkd.data.pairs.carry_positions import Rows, carry_positions, stacked_pieces


def with_student(
    batch: Batch, rows: Sequence[Example], sources: Sequence[Example], student_pad_id: int, side: PaddingSide
) -> Batch:
    """The batch with the same rows, sources and positions in the student's tokens as its `student`.

    Only positions that are defined for both models are kept (see `carry_positions`).

    Args:
        batch: The batch in the teacher's tokens.
        rows: The examples of base, as `read_twice` makes them.
        sources: The examples of the sources of each row; none if the batch has no sources.
        student_pad_id: The id of the student's padding.
        side: The side on which rows are padded.
    """
    own = [row["student"] for row in rows]
    inputs, labels, source = pad(own, student_pad_id, side), batch.labels, None
    if labels is not None and "labelled" in own[0]:
        labels = _labels(rows, labels, inputs["attention_mask"].bool())
    if batch.source is not None:
        source = pad([row["student"] for row in sources], student_pad_id, side)
    student = Batch(inputs, labels, source, batch.source_rows, {}, batch.index, batch.host_index)
    if not sources:
        return replace(batch, student=student)
    of_base, of_source = (stacked_pieces([row["student"]["pieces"] for row in each]) for each in (rows, sources))
    base = Rows(of_base, batch.counted, student.counted)
    given = Rows(of_source, batch.source_counted, student.source_counted)
    both = {drawn: carry_positions(drawn, base, given) for drawn in dict.fromkeys(batch.positions.values())}
    kept = {name: both[drawn][0] for name, drawn in batch.positions.items()}
    carried = {name: both[drawn][1] for name, drawn in batch.positions.items()}
    return replace(batch, positions=kept, student=replace(student, positions=carried))


def _labels(
    rows: Sequence[Example], given: Int[Tensor, "batch teacher_pos"], counted: Bool[Tensor, "batch pos"]
) -> Int[Tensor, "batch pos"]:
    """The labels of the student's tokens: those of the teacher's in each row, in their order."""
    places = [row["student"]["labelled"] for row in rows]
    row = torch.arange(len(rows)).repeat_interleave(torch.tensor([len(each) for each in places]))
    column = torch.tensor([place for each in places for place in each], dtype=torch.long)
    labels = torch.full(counted.shape, IGNORED)
    labels[row, column + counted.int().argmax(1)[row]] = given[given != IGNORED]
    return labels
