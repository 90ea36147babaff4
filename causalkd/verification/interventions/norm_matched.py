"""The baseline that moves activations as far as the intervention does, but in a random direction."""

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

    If the intervention is on parts of a tensor (columns or directions, of one site or several), it moves inside one
    random subspace of as many dimensions as they have together (TransformerLens' `NormMatchedPlacebo`). If it is on
    the whole tensor, the only such subspace is the whole, so each position of a batch moves along a random direction of
    its own. Every batch has the same subspaces and directions, whichever process reads it.

    Args:
        sites: The sites that the intervention writes to and reads from.
        base: A base run that kept the sites' activations.
        source_activations: The source activations.
        positions: The positions of the intervention.
        seed: The seed of the subspaces and directions.
    """
    row = torch.arange(len(positions.valid), device=positions.valid.device)[:, None].expand_as(positions.valid)
    of_base = row[positions.valid], positions.base[positions.valid]
    of_source = row[positions.valid], positions.source[positions.valid]
    # Several sites may be parts of one tensor, which can have two names: together they move it once.
    parts: dict[tuple[int, str, str], list[int]] = {}
    for number, site in enumerate(sites):
        parts.setdefault(site.hook_point.tensor, []).append(number)
    moved: dict[HookPoint, Tensor] = {}
    for numbers in parts.values():
        hook_point = sites[numbers[0]].hook_point
        activation = base.activations[hook_point].clone()
        present = intervened = activation[of_base]
        for site in (sites[number] for number in numbers):
            read = site.source or site
            intervened = site.put(intervened, read.take(source_activations.activations[read.hook_point][of_source]))
        dimensions = sum(sites[number].count for number in numbers)
        activation[of_base] = _elsewhere(present, intervened, dimensions, seed + numbers[0])
        moved[hook_point] = activation
    return (
        tuple(ResolvedSite(hook_point) for hook_point in moved),
        SourceActivations(moved, base.inputs["attention_mask"]),
        Positions(positions.base, positions.base, positions.valid),
    )


def _elsewhere(
    present: Float[Tensor, "position width"], intervened: Float[Tensor, "position width"], dimensions: int, seed: int
) -> Float[Tensor, "position width"]:
    """A random value as far from the base value as the value after the intervention is."""
    width = present.shape[1]
    if dimensions < width:
        intervention = SubspaceInterchange(torch.eye(width, device=present.device, dtype=present.dtype))
        return NormMatchedPlacebo(intervention, random_basis(width, dimensions, seed))(present, intervened)
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(present.shape, generator=generator).to(present)
    distance = (intervened - present).norm(dim=1, keepdim=True)
    return present + direction * (distance / direction.norm(dim=1, keepdim=True))
