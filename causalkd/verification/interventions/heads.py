"""Comparisons of single attention heads: every teacher head with every student head in a declared pair's layers."""

import warnings
from collections.abc import Sequence
from itertools import product

import torch

from causalkd.alignment.resolve import ResolvedAlignment
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.models.hooks.hook_points import by_layer
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.plan import Comparison, Intervention, pairs_of_positions, undeclared

BY_HEAD = "head_attention_value_output"
"""The component that is split by heads: each head's output before the output projection."""


def head_comparisons(
    teacher: HookedModel, student: HookedModel, alignment: ResolvedAlignment
) -> tuple[Comparison, ...]:
    """One comparison for every pair of heads; of a pair in whose layers a model has no heads none, with a warning."""
    comparisons = []
    positions = pairs_of_positions(alignment.alignment.policies())
    for pair in alignment.pairs:
        rows, columns = (
            _interventions(model, sites, positions[pair.name])
            for model, sites in ((teacher, pair.teacher), (student, pair.student))
        )
        if not (rows and columns):
            lacking = [
                f"the {model.role} ({model.architecture})"
                for model, found in ((teacher, rows), (student, columns))
                if not found
            ]
            warnings.warn(
                f"pair {pair.name!r} is not in the table of heads: none are in the pair's layers of "
                f"{' and of '.join(lacking)}",
                stacklevel=2,
            )
        for ((t_layer, t), of_teacher), ((s_layer, s), of_student) in product(rows.items(), columns.items()):
            kind = undeclared(of_teacher.sites, of_student.sites, alignment.pairs)
            heads = (pair.name, BY_HEAD, "h.pos", t, t_layer, s_layer, kind, of_teacher, of_student)
            comparisons.append(Comparison(*heads, student_head=s))
    return tuple(comparisons)


def _interventions(
    model: HookedModel, sites: Sequence[ResolvedSite], positions: str
) -> dict[tuple[int, int], Intervention]:
    """The intervention on each head, by layer and head, of the layers of these sites."""
    by_head = by_layer(BY_HEAD, model.hook_points())
    found = {}
    for layer in dict.fromkeys(site.hook_point.layer for site in sites):
        if layer in by_head:
            parts = torch.arange(by_head[layer].width).chunk(by_head[layer].heads)
            for head, part in enumerate(parts):
                found[layer, head] = Intervention((ResolvedSite(by_head[layer], part),), positions)
    return found
