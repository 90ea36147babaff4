"""The downstream loss of each task, averaged over the labels there are."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from causalkd.task_kinds import Task

_IGNORED = -100


def task_loss(task: Task, logits: Float[Tensor, "batch *rest"], labels: Tensor) -> Float[Tensor, ""]:
    """Cross-entropy in nats, or mean squared error for regression.

    Args:
        task: What the head computes.
        logits: (batch, pos, choice), (batch, choice), (batch, 1) for regression, (batch, pos, 2) for the two ends of an
            answer.
        labels: (batch, pos) with −100 where none counts, (batch,), or (batch, 2) start and end; a causal LM's label at
            a position is that position's own token, and is predicted from the one before.
    """
    if task == "regression":
        return F.mse_loss(logits.squeeze(-1), labels.to(logits.dtype))
    if task == "causal_lm":
        logits, labels = logits[:, :-1], labels[:, 1:]
    if task == "question_answering":
        logits = logits.transpose(1, 2)
    flat, wanted = logits.flatten(0, -2), labels.flatten()
    total = F.cross_entropy(flat, wanted, ignore_index=_IGNORED, reduction="sum")
    return total / (wanted != _IGNORED).sum().clamp(min=1)
