"""Which head does what which head does: the heads of each declared pair's layers, one against one."""

import torch

from causalkd.alignment.resolve import ResolvedAlignment
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.plan import Comparison, Intervention, alike

BY_HEAD = "head_attention_value_output"
"""The component that is split by heads: what each has gathered, before they are mixed."""


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
