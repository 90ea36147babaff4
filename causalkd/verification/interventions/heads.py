"""Which head does what which head does: the heads of each declared pair's layers, one against one."""

from collections.abc import Sequence

import torch

from causalkd.alignment.resolve import ResolvedAlignment
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.data.batch import Batch
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.reporting.summary import EXPLANATIONS
from causalkd.verification.interventions.plan import Comparison, Intervention, alike
from causalkd.verification.measures.iia import Subject, measure_comparisons
from causalkd.verification.measures.scores import Measurement

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
    comparisons = [head_comparisons(teacher, student, alignment) for student, alignment in students]
    return measure_comparisons(teacher, [student for student, _ in students], comparisons, batches, EXPLANATIONS, seeds)


def head_comparisons(
    teacher: HookedModel, student: HookedModel, alignment: ResolvedAlignment
) -> tuple[Comparison, ...]:
    """A cell for every two heads."""
    comparisons = []
    positions = alike(alignment.alignment.policies())
    for pair in alignment.pairs:
        layers = (pair.teacher[0].hook_point.layer, pair.student[0].hook_point.layer)
        rows, columns = (
            _sides(model, layer, positions[pair.name]) for model, layer in zip((teacher, student), layers, strict=True)
        )
        comparisons += [
            Comparison(pair.name, BY_HEAD, "h.pos", t, *layers, False, taught, own, student_head=s)
            for t, taught in enumerate(rows)
            for s, own in enumerate(columns)
        ]
    return tuple(comparisons)


def _sides(model: HookedModel, layer: int, positions: str) -> list[Intervention]:
    hook_point = model.hook_point(BY_HEAD, layer)
    columns = torch.arange(hook_point.width).chunk(hook_point.heads)
    return [Intervention((ResolvedSite(hook_point, part),), positions) for part in columns]
