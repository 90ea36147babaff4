"""A move that is as long as the exchange's and goes elsewhere: what would change if only the distance mattered."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.tools.analysis.interchange import NormMatchedPlacebo, SubspaceInterchange, random_basis

from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.data.positions import Positions
from causalkd.models.hooks.forward import ForwardOutput, SourceActivations
from causalkd.models.hooks.hook_points import HookPoint


def norm_matched_sources(
    sites: Sequence[ResolvedSite],
    base: ForwardOutput,
    source_activations: SourceActivations,
    positions: Positions,
    seed: int,
) -> tuple[tuple[ResolvedSite, ...], SourceActivations, Positions]:
    """An exchange at the same places and positions that moves each activation as far as the given one, but elsewhere.

    Where some columns or directions are exchanged, it moves inside a random subspace of as many dimensions
    (TransformerLens' `NormMatchedPlacebo`). Where a place is exchanged whole, every subspace of that size is all of it,
    so each position moves along a random direction of its own.

    Args:
        sites: Where the exchange writes, and from where it reads.
        base: A run that kept the sites' places.
        donor: Holds what the sites read.
        positions: Which positions are exchanged.
        seed: Of the subspaces and directions.
    """
    row = torch.arange(len(positions.valid), device=positions.valid.device)[:, None].expand_as(positions.valid)
    of_base = row[positions.valid], positions.base[positions.valid]
    of_source = row[positions.valid], positions.source[positions.valid]
    moved: dict[HookPoint, Tensor] = {}
    for number, site in enumerate(sites):
        read = site.source or site
        recipient = moved.get(site.hook_point, base.activations[site.hook_point]).clone()
        donated = source_activations.activations[read.hook_point][of_source]
        present = recipient[of_base]
        recipient[of_base] = _elsewhere(present, site.put(present, read.take(donated)), site, seed + number)
        moved[site.hook_point] = recipient
    return (
        tuple(ResolvedSite(hook_point) for hook_point in moved),
        SourceActivations(moved, base.inputs["attention_mask"]),
        Positions(positions.base, positions.base, positions.valid),
    )


def _elsewhere(
    present: Float[Tensor, "position width"], intervened: Float[Tensor, "position width"], site: ResolvedSite, seed: int
) -> Float[Tensor, "position width"]:
    """As far from what is there as the exchanged value is."""
    width = present.shape[1]
    if site.count < width:
        axes = site.take(torch.eye(width, device=present.device, dtype=present.dtype))
        return NormMatchedPlacebo(SubspaceInterchange(axes), random_basis(width, site.count, seed))(present, intervened)
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(present.shape, generator=generator).to(present)
    distance = (intervened - present).norm(dim=1, keepdim=True)
    return present + direction * (distance / direction.norm(dim=1, keepdim=True))
