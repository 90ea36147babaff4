"""The downstream loss of each task, averaged over the labels there are."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from causalkd.losses.precision import at_least_float32
from causalkd.task_types import Task

_IGNORED = -100


def task_loss(task: Task, logits: Float[Tensor, "batch *rest"], labels: Tensor) -> Float[Tensor, ""]:
    """Cross-entropy in nats, of several labels a row the mean of each label's own; for regression the squared error.

    Computed in float32 at least. One host–device copy: how many labels there are.

    Args:
        task: What the head computes.
        logits: (…, choice) for per-token heads, (batch, choice), (batch, label) for several labels a row, (batch, 1)
            for regression, (batch, pos, 2) for the two ends of an answer.
        labels: What each prediction is compared with, −100 where none counts; (batch,), (batch, label) of 0 and 1, or
            (batch, 2) start and end. A causal LM predicts the next token, so its labels are `data.token_mask.targets`.
    """
    if task == "regression":
        predicted = at_least_float32(logits.squeeze(-1))
        return F.mse_loss(predicted, labels.to(predicted.dtype))
    if task == "multi_label":
        outputs = at_least_float32(logits)
        return F.binary_cross_entropy_with_logits(outputs, labels.to(outputs.dtype))
    if task == "question_answering":
        logits = logits.transpose(1, 2)
    flat, wanted = logits.flatten(0, -2), labels.flatten()
    # A masked language model has a label at every seventh token: the others' logits are not looked at.
    labelled = (wanted != _IGNORED).nonzero().squeeze(-1)
    total = F.cross_entropy(at_least_float32(flat.index_select(0, labelled)), wanted[labelled], reduction="sum")
    return total / max(len(labelled), 1)
