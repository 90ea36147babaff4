"""The mean of a loss over the positions that a mask says count."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from causalkd.losses.precision import at_least_float32_clamped


def mean_where(values: Float[Tensor, "*batch"], mask: Bool[Tensor, "*batch"] | None = None) -> Float[Tensor, ""]:
    """Mean of the values where the mask is true (everywhere without one); 0, with zero gradient, where none counts.

    Values outside may be anything, NaN included. The mean of half precision is computed, and returned, in float32.
    Makes no host–device copy.
    """
    values = at_least_float32_clamped(values)
    if mask is None:
        return values.mean() if values.numel() else values.sum()
    return torch.where(mask, values, 0).sum() / mask.sum().clamp(min=1)
