"""The downstream loss of each task, averaged over the labels there are."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causalkd.losses.divergence import Loss, Rows
from causalkd.losses.fused import RowLoss
from causalkd.losses.precision import at_least_float32_clamped
from causalkd.losses.predictions import Unprojected
from causalkd.task_types import Task

_IGNORED = -100


def task_loss(
    task: Task,
    logits: Float[Tensor, "batch *rest"],
    labels: Tensor,
    real: Bool[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy in nats, for several labels a row the mean of each label's own; for regression the squared error.

    Computed in float32 at least. Makes no host–device copy. Differs from transformers' heads: their loss of question
    answering includes padding, so that it depends on the other rows of the batch; for unpadded rows it is the same.

    Args:
        task: The task of the head.
        logits: (…, choice) for per-token heads, (batch, choice), (batch, label) for several labels a row, (batch, 1)
            for regression, (batch, pos, 2) for the two ends of an answer.
        labels: The label of each prediction, −100 where none counts; (batch,), (batch, label) of 0 and 1, or (batch, 2)
            start and end; for regression (batch,) or (batch, 1), every number of which counts. A causal LM predicts the
            next token, so its labels are `data.token_mask.targets`.
        real: True at tokens that may be an end of an answer: everywhere but at padding. Without it all may be; other
            tasks ignore it.

    Raises:
        ValueError: A regression has not exactly one label for each row.
    """
    if task == "regression":
        predicted = at_least_float32_clamped(logits.squeeze(-1))
        return F.mse_loss(predicted, one_number_a_row(labels).to(predicted.dtype))
    if task == "multi_label":
        outputs, known = at_least_float32_clamped(logits), labels != _IGNORED
        each = F.binary_cross_entropy_with_logits(outputs, labels.where(known, 0).to(outputs.dtype), reduction="none")
        return each.where(known, 0).sum() / known.sum().clamp(min=1)
    if task == "question_answering":
        logits = logits.transpose(1, 2)
        logits = logits if real is None else logits.masked_fill(~real[:, None], -torch.inf)
    flat, wanted = at_least_float32_clamped(logits.flatten(0, -2)), labels.flatten()
    total = F.cross_entropy(flat, wanted, ignore_index=_IGNORED, reduction="sum")
    return total / (wanted != _IGNORED).sum().clamp(min=1)


def one_number_a_row(labels: Tensor) -> Float[Tensor, " batch"]:
    """The labels of a regression as (batch,), in float32 at least, whether they are whole numbers or lists of one.

    Raises:
        ValueError: They are not one for each row.
    """
    if labels.shape not in ((len(labels),), (len(labels), 1)):
        raise ValueError(f"the labels of a regression have shape {tuple(labels.shape)}; give one number for each row")
    return labels.flatten().to(torch.promote_types(labels.dtype, torch.float32))


def token_rows(logits: Tensor | Unprojected, labels: Int[Tensor, "*batch"]) -> RowLoss:
    """The same cross-entropy of a per-token head, as a loss that can share a pass with others."""
    labelled = labels != _IGNORED
    return RowLoss(logits, _cross_entropy, (labels.where(labelled, 0),), labelled)


def _cross_entropy(logits: Rows, label: Int[Tensor, " row"]) -> Loss:
    q, at = logits.softmax(-1), label.unsqueeze(1)
    # The logarithm of a softmax is the distance to the largest logit, plus the logarithm at that one.
    loss = logits.amax(-1) - logits.gather(1, at).squeeze(1) - q.amax(-1).log()
    return loss, lambda: q.scatter_add(1, at, q.new_full(at.shape, -1))
