"""Distances between two models' hidden states of equal width; zero at agreement. In float32 at least."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from causalkd.losses.precision import at_least_float32_clamped
from causalkd.losses.reduction import mean_where

# Added to both squared norms, as in torch's cosine embedding loss and so in DIITO's release.
_EPSILON = 1e-12


def cosine_distance(
    student: Float[Tensor, "*batch width"],
    teacher: Float[Tensor, "*batch width"],
    mask: Bool[Tensor, "*batch"] | None = None,
) -> Float[Tensor, ""]:
    """1 − cos, averaged over what counts; in [0, 2] (papers: DIITO's L_cos, DistilBERT)."""
    student, teacher = at_least_float32_clamped(student), at_least_float32_clamped(teacher)
    product = (student * teacher).sum(-1)
    squares = ((student * student).sum(-1) + _EPSILON) * ((teacher * teacher).sum(-1) + _EPSILON)
    return mean_where(1 - product / torch.sqrt(squares), mask)


def squared_distance(
    student: Float[Tensor, "*batch width"],
    teacher: Float[Tensor, "*batch width"],
    mask: Bool[Tensor, "*batch"] | None = None,
) -> Float[Tensor, ""]:
    """Squared Euclidean distance: summed over the last dimension, averaged over what counts."""
    difference = at_least_float32_clamped(student) - at_least_float32_clamped(teacher)
    return mean_where(difference.square().sum(-1), mask)
