"""Comparisons of single attention heads: every teacher head with every student head in a declared pair's layers."""

import torch

from causalkd.alignment.resolve import ResolvedAlignment
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.plan import Comparison, Intervention, pairs_of_positions

BY_HEAD = "head_attention_value_output"
"""The component that is split by heads: each head's output before the output projection."""


def head_comparisons(
    teacher: HookedModel, student: HookedModel, alignment: ResolvedAlignment
) -> tuple[Comparison, ...]:
    """One comparison for every pair of heads."""
    comparisons = []
    positions = pairs_of_positions(alignment.alignment.policies())
    for pair in alignment.pairs:
        layers = (pair.teacher[0].hook_point.layer, pair.student[0].hook_point.layer)
        rows, columns = (
            _interventions(model, layer, positions[pair.name])
            for model, layer in zip((teacher, student), layers, strict=True)
        )
        comparisons += [
            Comparison(pair.name, BY_HEAD, "h.pos", t, *layers, False, of_teacher, of_student, student_head=s)
            for t, of_teacher in enumerate(rows)
            for s, of_student in enumerate(columns)
        ]
    return tuple(comparisons)


def _interventions(model: HookedModel, layer: int, positions: str) -> list[Intervention]:
    hook_point = model.hook_point(BY_HEAD, layer)
    columns = torch.arange(hook_point.width).chunk(hook_point.heads)
    return [Intervention((ResolvedSite(hook_point, part),), positions) for part in columns]
