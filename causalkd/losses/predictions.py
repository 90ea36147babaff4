"""The predictions that losses are computed from: logits, or a form from which they are made a few rows at a time."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Unprojected(Protocol):
    """Logits that are not computed yet: the input of a head's last linear map, and that map.

    The logits are c · tanh(s (W h + b) / c) with the cap c, or s (W h + b) without one.
    """

    @property
    def hidden(self) -> Float[Tensor, "*batch width"]:
        """The input of the map, h."""
        ...

    @property
    def weight(self) -> Float[Tensor, "choice width"]:
        """The weight W."""
        ...

    @property
    def bias(self) -> Float[Tensor, " choice"] | None:
        """The bias b; None if the map has none."""
        ...

    @property
    def scale(self) -> float:
        """The factor s; 1 if the head has none."""
        ...

    @property
    def cap(self) -> float | None:
        """The soft cap c; None if there is none."""
        ...

    @property
    def shape(self) -> torch.Size:
        """The shape of the logits."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the logits."""
        ...

    def whole(self) -> Float[Tensor, "*batch choice"]:
        """The logits."""
        ...


@runtime_checkable
class CompressedLogits(Protocol):
    """A teacher's logits in a shorter form, from which they are made when they are needed."""

    @property
    def shape(self) -> torch.Size:
        """The shape of the logits."""
        ...

    def rows(self, chunk: slice) -> Float[Tensor, "row choice"]:
        """The logits of some rows, counted through the batch."""
        ...

    def whole(self) -> Float[Tensor, "*batch choice"]:
        """The logits."""
        ...


Predictions = Tensor | Unprojected | CompressedLogits
"""One model's predictions: logits, or a form from which they are made."""
