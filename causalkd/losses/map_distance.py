"""The distance of two models' attribution maps; zero if they are proportional."""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from causalkd.losses.precision import at_least_float32_clamped

Distance = Literal["l1", "l2", "smooth_l1"]
_EPSILON = 1e-12  # torch's, and so the release's


def map_distance(
    student: Float[Tensor, "view batch pos"],
    teacher: Float[Tensor, "view batch pos"],
    valid: Bool[Tensor, "batch"] | None = None,
    distance: Distance = "l2",
    norm: Literal[1, 2] = 2,
) -> Float[Tensor, ""]:
    """Σ over views of the mean distance of maps that are scaled to norm 1 over the positions (AD-KD, L_attr).

    The mean is over the positions of the batch at which the teacher's map is not zero, so padding does not count. A row
    whose teacher map is zero, or that is not `valid`, adds nothing. In float32 at least: in float16 the smallest norm
    that a map is divided by would be 0.

    Args:
        student: Scores of the positions, at least 0.
        teacher: The teacher's scores, without a graph.
        valid: Rows that count; all without it.
        distance: |·|, (·)², or Huber's with δ = 1, which below 1 is (·)² / 2.
        norm: The norm that every map is scaled by.
    """
    student, teacher = at_least_float32_clamped(student), at_least_float32_clamped(teacher)
    known = (teacher != 0).any(-1, keepdim=True)
    known = known if valid is None else known & valid[:, None]
    student, teacher = (each.where(known, 0) for each in (student, teacher))
    ours, theirs = (F.normalize(each, p=norm, dim=-1, eps=_EPSILON) for each in (student, teacher))
    pointwise = {"l1": F.l1_loss, "l2": F.mse_loss, "smooth_l1": F.smooth_l1_loss}[distance]
    distances = pointwise(ours, theirs, reduction="none").sum((1, 2))
    return (distances / (theirs != 0).sum((1, 2)).clamp(min=1)).sum()
