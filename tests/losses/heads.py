"""Logits that are not computed yet, as a loss takes them: hidden states and the last linear map of a head."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Head:
    hidden: Tensor
    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    cap: float | None = None

    @property
    def shape(self) -> torch.Size:
        return torch.Size([*self.hidden.shape[:-1], len(self.weight)])

    @property
    def dtype(self) -> torch.dtype:
        return self.hidden.dtype

    def whole(self) -> Tensor:
        logits = self.hidden @ self.weight.T
        logits = self.scale * (logits if self.bias is None else logits + self.bias)
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)

    def leaves(self) -> list[Tensor]:
        return [each for each in (self.hidden, self.weight, self.bias) if each is not None]


def head(
    *batch: int,
    width: int = 5,
    choices: int = 11,
    seed: int = 0,
    bias: bool = True,
    scale: float = 1.0,
    cap: float | None = None,
    dtype: torch.dtype = torch.float64,
    learns: bool = True,
) -> Head:
    """Random hidden states and a random head."""
    generator = torch.Generator().manual_seed(seed)
    drawn = [
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((*batch, width), (choices, width), (choices,))
    ]
    hidden, weight, offset = (each.to(dtype).requires_grad_(learns) for each in drawn)
    return Head(hidden, weight, offset if bias else None, scale, cap)
