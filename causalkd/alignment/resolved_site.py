"""A site that exists in a model: which part of an activation an intervention takes, and how it is written."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from causalkd.models.hooks.hook_points import HookPoint


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
            return activation @ self.basis.to(activation)
        return activation if self.columns is None else activation[..., self.columns.to(activation.device)]

    def put(
        self, recipient: Float[Tensor, "... width"], taken: Float[Tensor, "... count"]
    ) -> Float[Tensor, "... width"]:
        """The activation with these coordinates replaced; the part orthogonal to them stays."""
        if self.basis is not None:
            return recipient + (taken - self.take(recipient)) @ self.basis.T.to(recipient)
        return taken if self.columns is None else recipient.index_copy(-1, self.columns.to(taken.device), taken)
