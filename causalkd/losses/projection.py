"""A head's last linear map with its scale and cap, for some rows and some entries of the vocabulary at a time."""

import torch
from jaxtyping import Float
from torch import Tensor

from causalkd.losses.predictions import Unprojected

ALL = slice(None)


class Projection:
    """z = c · tanh(s (W h + b) / c) or s (W h + b), written into a buffer that every call uses again.

    Args:
        hidden: h, one a row.
        weight: W.
        bias: b; None if the map has none.
        scale: s.
        cap: c; None if there is none.
        dtype: The dtype in which the head computes.
        elements: The largest number of logits that is needed at a time.
    """

    def __init__(
        self,
        hidden: Float[Tensor, "row width"],
        weight: Float[Tensor, "choice width"],
        bias: Float[Tensor, " choice"] | None,
        scale: float,
        cap: float | None,
        dtype: torch.dtype,
        elements: int,
    ) -> None:
        self.hidden, self.weight = hidden.to(dtype), weight.to(dtype)
        self.bias = None if bias is None else bias.to(dtype)
        self._scale, self._cap = scale, cap
        self._buffer = self.hidden.new_empty(elements)

    @classmethod
    def of_teacher(cls, given: Unprojected, elements: int) -> "Projection":
        """The projection of predictions that receive no gradient."""
        bias = None if given.bias is None else given.bias.detach()
        hidden = given.hidden.detach().reshape(-1, given.hidden.shape[-1])
        return cls(hidden, given.weight.detach(), bias, given.scale, given.cap, given.dtype, elements)

    def logits(self, rows: slice, entries: slice = ALL) -> Float[Tensor, "row choice"]:
        """Some logits; they overwrite those of the previous call."""
        hidden, weight = self.hidden[rows], self.weight[entries]
        out = self._buffer[: len(hidden) * len(weight)].view(len(hidden), len(weight))
        if self.bias is None:
            torch.mm(hidden, weight.T, out=out)
        else:
            torch.addmm(self.bias[entries], hidden, weight.T, out=out)
        if self._scale != 1:
            out.mul_(self._scale)
        return out if self._cap is None else out.div_(self._cap).tanh_().mul_(self._cap)

    def before_projection(self, gradient: Tensor, logits: Tensor) -> Tensor:
        """The gradient in the output of the linear map, from that in the logits."""
        if self._cap is not None:
            gradient.mul_(1 - (logits.to(gradient.dtype) / self._cap).square_())
        return gradient if self._scale == 1 else gradient.mul_(self._scale)
