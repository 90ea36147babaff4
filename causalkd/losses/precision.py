"""The precision in which losses are computed."""

import torch
from jaxtyping import Float
from torch import Tensor


def at_least_float32_clamped(tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The tensor in float32 if it is of half precision, else unchanged.

    Sums and norms in half precision overflow (float16 ends at 65,504) or lose digits (bfloat16 has 8 bits of them). The
    gradient of a float16 tensor is clamped to the range of float16, which e.g. that of a norm at zero exceeds.
    """
    wide = tensor.to(torch.promote_types(tensor.dtype, torch.float32))
    if tensor.dtype == torch.float16 and wide.requires_grad:
        most = torch.finfo(torch.float16).max
        wide.register_hook(lambda gradient: gradient.clamp(-most, most))
    return wide
