"""What a loss can be computed of: logits, or what they are made of a few rows at a time."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Unprojected(Protocol):
    """Logits that are not computed yet: what a head's last linear map receives, and that map.

    The logits are c · tanh(s (W h + b) / c) with the cap c, or s (W h + b) without one.
    """

    @property
    def hidden(self) -> Float[Tensor, "*batch width"]:
        """What the map receives."""
        ...

    @property
    def weight(self) -> Float[Tensor, "choice width"]:
        """W."""
        ...

    @property
    def bias(self) -> Float[Tensor, " choice"] | None:
        """b; None where the map has none."""
        ...

    @property
    def scale(self) -> float:
        """S."""
        ...

    @property
    def cap(self) -> float | None:
        """c; None where there is none."""
        ...

    @property
    def shape(self) -> torch.Size:
        """That of the logits."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """That of the logits."""
        ...

    def whole(self) -> Float[Tensor, "*batch choice"]:
        """The logits."""
        ...


@runtime_checkable
class InRows(Protocol):
    """A teacher's logits that are kept in a shorter form, and made as they are needed."""

    @property
    def shape(self) -> torch.Size:
        """That of the logits."""
        ...

    def rows(self, chunk: slice) -> Float[Tensor, "row choice"]:
        """The logits of some rows, counted through the batch."""
        ...

    def whole(self) -> Float[Tensor, "*batch choice"]:
        """The logits."""
        ...


Predictions = Tensor | Unprojected | InRows
"""One model's predictions: logits, or what they are made of."""
