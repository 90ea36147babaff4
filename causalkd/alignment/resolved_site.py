"""A site that exists in a model: which part of an activation an intervention takes, and how it is written."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from causalkd.models.hooks.hook_points import HookPoint


@dataclass(frozen=True, eq=False)
class ResolvedSite:
    """A site that exists in a model.

    Attributes:
        hook_point: Where base's activation is replaced.
        columns: The columns that the intervention replaces, in order; None for all.
        source: Where the source's activation is read; None for `hook_point`. The number of coordinates must be equal.
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
