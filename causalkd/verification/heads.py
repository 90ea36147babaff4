"""Which head does what which head does: the heads of each declared pair's layers, one against one."""

from collections.abc import Sequence

import torch

from causalkd.alignment.resolve import ResolvedAlignment
from causalkd.alignment.sites import ResolvedSite
from causalkd.data.batch import Batch
from causalkd.models.hooked import HookedModel
from causalkd.verification.cells import Cell, Side, alike
from causalkd.verification.interchange_accuracy import Subject, measure_cells
from causalkd.verification.scores import Measurement
from causalkd.verification.summary import EXPLANATIONS

BY_HEAD = "head_attention_value_output"
"""The component that is split by heads: what each has gathered, before they are mixed."""


def measure_heads(
    teacher: HookedModel, students: Sequence[Subject], batches: Sequence[Batch], seeds: Sequence[int]
) -> list[Measurement]:
    """Scores every head of a declared pair's first teacher layer against every head of its first student layer.

    Costs a counterfactual for each head of those layers, of a student also one for each of the controls that move
    activations, at the positions of the pair.

    Args:
        teacher: Whose counterfactual predictions are the truth here.
        students: Each with the same alignment resolved against it.
        batches: Held-out pairs, with a source and positions for every declared pair.
        seeds: Of each student's untrained twin, in their order.
    """
    cells = [head_cells(teacher, student, alignment) for student, alignment in students]
    return measure_cells(teacher, [student for student, _ in students], cells, batches, EXPLANATIONS, seeds)


def head_cells(teacher: HookedModel, student: HookedModel, alignment: ResolvedAlignment) -> tuple[Cell, ...]:
    """A cell for every two heads."""
    cells = []
    positions = alike(alignment.alignment.policies())
    for pair in alignment.pairs:
        layers = (pair.teacher[0].place.layer, pair.student[0].place.layer)
        rows, columns = (
            _sides(model, layer, positions[pair.name]) for model, layer in zip((teacher, student), layers, strict=True)
        )
        cells += [
            Cell(pair.name, BY_HEAD, "h.pos", t, *layers, False, taught, own, student_head=s)
            for t, taught in enumerate(rows)
            for s, own in enumerate(columns)
        ]
    return tuple(cells)


def _sides(model: HookedModel, layer: int, positions: str) -> list[Side]:
    place = model.place(BY_HEAD, layer)
    columns = torch.arange(place.width).chunk(place.heads)
    return [Side((ResolvedSite(place, part),), positions) for part in columns]
