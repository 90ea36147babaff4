"""Divergences between two models' predictions, in nats; zero at agreement."""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from causalkd.losses.means import mean_where


def forward_kl(
    student_logits: Float[Tensor, "*batch choice"],
    teacher_logits: Float[Tensor, "*batch choice"],
    mask: Bool[Tensor, "*batch"] | None = None,
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """KL(teacher || student) of the softmax at a temperature, averaged over what counts.

    No factor T² (Hinton et al. 2015, section 2): the objective that wants it multiplies. Rows where `mask` is false add
    nothing; with none true the loss and its gradient are 0.
    """
    student = F.log_softmax(student_logits / temperature, dim=-1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=-1)
    return mean_where(F.kl_div(student, teacher, reduction="none", log_target=True).sum(-1), mask)
