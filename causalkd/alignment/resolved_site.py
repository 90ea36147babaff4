"""A site that exists in a model: which part of an activation an intervention takes, and how it is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causalkd.models.hooks.hook_points import HookPoint

_ORTHOGONAL = 1e-4  # directions of float32 with a smaller product have nothing in common


@dataclass(frozen=True, eq=False)
class ResolvedSite:
    """A site that exists in a model.

    Attributes:
        hook_point: The hook point where base's activation is replaced.
        columns: The columns that the intervention replaces, in order; None for all.
        source: The hook point where the source's activation is read, with as many coordinates; None for `hook_point`.
        basis: Orthonormal columns that span the subspace of the intervention, instead of `columns`.
    """

    hook_point: HookPoint
    columns: Int[Tensor, " n"] | None = None
    source: "ResolvedSite | None" = None
    basis: Float[Tensor, "width rank"] | None = None

    @property
    def count(self) -> int:
        """The number of coordinates that are replaced."""
        if self.basis is not None:
            return self.basis.shape[1]
        return self.hook_point.width if self.columns is None else len(self.columns)

    @property
    def is_whole(self) -> bool:
        """Whether the whole activation is replaced."""
        return self.columns is None and self.basis is None

    @cached_property
    def identity(self) -> tuple[Any, ...]:
        """All of the site as plain values, tensors to the last bit; two sites are the same if these are equal."""
        return (
            self.hook_point,
            None if self.columns is None else tuple(self.columns.tolist()),
            None if self.source is None else self.source.identity,
            None if self.basis is None else (str(self.basis.dtype), self.basis.cpu().numpy().tobytes()),
        )

    def take(self, activation: Float[Tensor, "... width"]) -> Float[Tensor, "... count"]:
        """The coordinates that the intervention takes: all, some columns, or those in the basis."""
        if self.basis is not None:
            # Autocast would round the coordinates, and with them every direction of an activation in float32.
            with torch.autocast(activation.device.type, enabled=False):
                return activation @ self.basis.to(activation)
        return activation if self.columns is None else activation[..., self.columns.to(activation.device)]

    def put(
        self, recipient: Float[Tensor, "... width"], taken: Float[Tensor, "... count"]
    ) -> Float[Tensor, "... width"]:
        """The activation with these coordinates replaced; the part orthogonal to them stays."""
        if self.basis is not None:
            with torch.autocast(recipient.device.type, enabled=False):
                return recipient + (taken.to(recipient) - self.take(recipient)) @ self.basis.T.to(recipient)
        taken = taken.to(recipient.dtype)
        return taken if self.columns is None else recipient.index_copy(-1, self.columns.to(taken.device), taken)


def overlap(one: ResolvedSite, other: ResolvedSite) -> bool:
    """Whether two sites have a part of one tensor in common, whatever its names."""
    if one.hook_point.tensor != other.hook_point.tensor or one.is_whole or other.is_whole:
        return one.hook_point.tensor == other.hook_point.tensor
    if one.basis is None and other.basis is None:
        return not _columns([one]).isdisjoint(_columns([other]))
    return bool((_directions([one]).T @ _directions([other])).abs().max() > _ORTHOGONAL)


def write_the_same(some: Sequence[ResolvedSite], others: Sequence[ResolvedSite]) -> bool:
    """Whether the sites of both write to the same tensors, and there to the same columns or span, in whatever order."""
    first, second = _by_tensor(some), _by_tensor(others)
    return first.keys() == second.keys() and all(_same_part(part, second[tensor]) for tensor, part in first.items())


def _same_part(some: Sequence[ResolvedSite], others: Sequence[ResolvedSite]) -> bool:
    if all(site.basis is None for site in (*some, *others)):
        return _columns(some) == _columns(others)
    count = sum(site.count for site in some)
    if count != sum(site.count for site in others):
        return False
    # The directions of one span are, within the other, as long as they are.
    within = (_directions(some).T @ _directions(others)).square().sum()
    return bool(abs(within - count) < _ORTHOGONAL * count)


def _by_tensor(sites: Sequence[ResolvedSite]) -> dict[tuple[int, str, str], list[ResolvedSite]]:
    found: dict[tuple[int, str, str], list[ResolvedSite]] = {}
    for site in sites:
        found.setdefault(site.hook_point.tensor, []).append(site)
    return found


def _columns(sites: Sequence[ResolvedSite]) -> set[int]:
    all_of = (range(site.hook_point.width) if site.columns is None else site.columns.tolist() for site in sites)
    return {column for columns in all_of for column in columns}


def _directions(sites: Sequence[ResolvedSite]) -> Float[Tensor, "width count"]:
    return torch.cat([site.take(torch.eye(site.hook_point.width)) for site in sites], dim=-1)
