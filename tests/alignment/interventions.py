"""What the tests of the interchange share: tiny hooked models, sites, positions, and the oracle's reading of them."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from causalkd.alignment.resolve import resolve_site
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.alignment.spec import Site
from causalkd.data.positions import Positions
from causalkd.models.hooks.hooked_model import HookedModel, Role
from causalkd.task_types import Task
from tests.oracles.interchange import Intervened, Pairs, Spot, slow_interchange
from tests.tiny import TASKS_OF, tiny, tiny_inputs

BASE = tiny_inputs(4, 10)
SOURCE = tiny_inputs(4, 8, seed=1)
PAIRS: Pairs = [[(0, 3), (9, 7)], [(2, 2)], [], [(1, 4), (2, 0), (6, 1)]]
"""Fits BASE and SOURCE: rows with 10, 9, 8, 7 and with 8, 7, 6, 5 tokens."""


def hooked(architecture: str = "bert", task: Task | None = None, role: Role = "student", **options: Any) -> HookedModel:
    task = task or TASKS_OF[architecture][0]
    return HookedModel(tiny(architecture, task, **options), task=task, role=role)


shared = cache(hooked)
"""The same model at every call, for tests that leave its weights and modules as they are."""


def doubled(architecture: str = "bert", task: Task | None = None, **options: Any) -> HookedModel:
    return hooked(architecture, task, dtype=torch.float64, **options)


def site(model: HookedModel, component: str = "block_output", layer: int = 1, **options: Any) -> ResolvedSite:
    unit = "h.pos" if component.startswith("head_") else "pos"
    layer = 0 if component == "token_embedding" else layer
    return resolve_site(Site(layer=layer, component=component, unit=unit, **options), model)


def positions(pairs: Pairs) -> Positions:
    """The pairs of every row, the shorter rows filled up with (0, 0)."""
    width = max(map(len, pairs))
    filled = torch.tensor([[*row, *[(0, 0)] * (width - len(row))] for row in pairs], dtype=torch.long)
    filled = filled.reshape(len(pairs), width, 2)
    valid = torch.arange(width) < torch.tensor([[len(row)] for row in pairs])
    return Positions(filled[..., 0], filled[..., 1], valid)


def every_position(inputs: dict[str, Tensor]) -> Positions:
    mask = inputs["attention_mask"].bool()
    return Positions.from_masks(mask, mask)


def oracle(
    model: HookedModel, sites: Sequence[ResolvedSite], base: dict[str, Tensor], source: dict[str, Tensor], pairs: Pairs
) -> Any:
    passes = [Intervened(_spot(each), _spot(each.source or each)) for each in sites]
    return slow_interchange(model.model, passes, base, source, pairs)


def gradients(model: HookedModel, scalar: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(scalar, list(model.model.parameters()), allow_unused=True, materialize_grads=True)
    return list(found)


def _spot(one: ResolvedSite) -> Spot:
    directions = None if one.basis is None else list(one.basis.double().T)
    return Spot(
        one.hook_point.module, one.hook_point.side, None if one.columns is None else one.columns.tolist(), directions
    )
