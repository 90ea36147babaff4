"""A random move as long as the intervention's: the accuracy if only the distance mattered, not the direction."""

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
    """An intervention at the same sites and positions that moves each activation as far, but in a random direction.

    Where the intervention is on some columns or directions, it moves inside a random subspace of as many dimensions
    (TransformerLens' `NormMatchedPlacebo`). Where it is on a whole hook point, the only such subspace is all of it,
    so each position moves along a random direction of its own.

    Args:
        sites: The sites that the intervention writes to and reads from.
        base: A base run that kept the sites' activations.
        source_activations: Holds the source activations.
        positions: The positions of the intervention.
        seed: The seed of the subspaces and directions.
    """
    row = torch.arange(len(positions.valid), device=positions.valid.device)[:, None].expand_as(positions.valid)
    of_base = row[positions.valid], positions.base[positions.valid]
    of_source = row[positions.valid], positions.source[positions.valid]
    # Two sites may be parts of one tensor, which can have two names: the second part moves what the first one moved.
    written: dict[tuple[int, str, str], HookPoint] = {}
    moved: dict[HookPoint, Tensor] = {}
    for number, site in enumerate(sites):
        read = site.source or site
        hook_point = written.setdefault(site.hook_point.tensor, site.hook_point)
        activation = moved.get(hook_point, base.activations[hook_point]).clone()
        given = source_activations.activations[read.hook_point][of_source]
        present = activation[of_base]
        activation[of_base] = _elsewhere(present, site.put(present, read.take(given)), site, seed + number)
        moved[hook_point] = activation
    return (
        tuple(ResolvedSite(hook_point) for hook_point in moved),
        SourceActivations(moved, base.inputs["attention_mask"]),
        Positions(positions.base, positions.base, positions.valid),
    )


def _elsewhere(
    present: Float[Tensor, "position width"], intervened: Float[Tensor, "position width"], site: ResolvedSite, seed: int
) -> Float[Tensor, "position width"]:
    """A random value as far from the base value as the source value is."""
    width = present.shape[1]
    if site.count < width:
        axes = site.take(torch.eye(width, device=present.device, dtype=present.dtype))
        return NormMatchedPlacebo(SubspaceInterchange(axes), random_basis(width, site.count, seed))(present, intervened)
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(present.shape, generator=generator).to(present)
    distance = (intervened - present).norm(dim=1, keepdim=True)
    return present + direction * (distance / direction.norm(dim=1, keepdim=True))
