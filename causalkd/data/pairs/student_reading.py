"""A batch in the tokens of a student with another tokenizer than the teacher's."""

from collections.abc import Sequence
from dataclasses import replace

from causalkd.data.batch import IGNORED, Batch, Example, PaddingSide, pad, pad_rows
from causalkd.data.pairs.carry_positions import Rows, carry_positions
from causalkd.data.pieces import Piece


def with_student(
    batch: Batch, rows: Sequence[Example], sources: Sequence[Example], student_pad_id: int, side: PaddingSide
) -> Batch:
    """The batch with the same rows, sources and positions in the student's tokens as its `student`.

    Of the positions those are left that are defined for both models (see `carry_positions`).

    Args:
        batch: In the teacher's tokens.
        rows: The examples of base, as `read_twice` makes them.
        sources: The examples of the sources of each row; none where the batch has no sources.
        student_pad_id: The id of the student's padding.
        side: The side on which rows are padded.
    """
    own = [row["student"] for row in rows]
    inputs, labels, source = pad(own, student_pad_id, side), batch.labels, None
    if "labelled" in own[0]:
        labels = pad_rows([_labels(row) for row in rows], IGNORED, side)
    if batch.source is not None:
        source = pad([row["student"] for row in sources], student_pad_id, side)
    student = Batch(inputs, labels, source, batch.source_rows, {}, batch.index, batch.host_index)
    if not sources:
        return replace(batch, student=student)
    of_base = Rows(_pieces(rows), batch.counted, student.counted)
    of_source = Rows(_pieces(sources), batch.source_counted, student.source_counted)
    both = {drawn: carry_positions(drawn, of_base, of_source) for drawn in dict.fromkeys(batch.positions.values())}
    kept = {name: both[drawn][0] for name, drawn in batch.positions.items()}
    carried = {name: both[drawn][1] for name, drawn in batch.positions.items()}
    return replace(batch, positions=kept, student=replace(student, positions=carried))


def _labels(row: Example) -> list[int]:
    """The labels of the student's tokens: those of the teacher's row, in their order."""
    given = iter(label for label in row["label"] if label != IGNORED)
    labelled = set(row["student"]["labelled"])
    return [next(given) if place in labelled else IGNORED for place in range(len(row["student"]["input_ids"]))]


def _pieces(rows: Sequence[Example]) -> list[list[Piece]]:
    return [[Piece(*piece) for piece in row["student"]["pieces"]] for row in rows]
