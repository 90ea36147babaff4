"""Comparing what two models predict, whatever the head."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from causalkd.data.batch import IGNORED, Batch
from causalkd.losses.divergence import forward_kl
from causalkd.losses.hidden import squared_distance
from causalkd.task_kinds import Task

Tokens = Literal["all", "labelled"]
_PER_TOKEN = ("masked_lm", "causal_lm", "token_classification")


def prediction_distance(
    task: Task,
    student_logits: Float[Tensor, "batch *rest"],
    teacher_logits: Float[Tensor, "batch *rest"],
    batch: Batch,
    temperature: float,
    tokens: Tokens = "all",
) -> Float[Tensor, ""]:
    """T² · KL(teacher || student) of the predictions at temperature T, averaged over what counts.

    What counts: every real token for language models and tagging (or the labelled ones), every row for classification,
    start and end over the real tokens for question answering. Regression has no distribution: the squared difference.
    """
    if task == "regression":
        return squared_distance(student_logits, teacher_logits)
    mask = counted_tokens(task, batch, tokens)
    if task == "question_answering":
        student_logits, teacher_logits = (
            _over_tokens(each, batch, temperature) for each in (student_logits, teacher_logits)
        )
    return temperature**2 * forward_kl(student_logits, teacher_logits, mask, temperature)


def counted_tokens(task: Task, batch: Batch, tokens: Tokens = "all") -> Bool[Tensor, "batch pos"] | None:
    """Where a per-token prediction counts; None for heads that predict once a row."""
    if task not in _PER_TOKEN:
        return None
    if tokens == "all" or batch.labels is None:
        return batch.counted
    if task != "causal_lm":
        return batch.labels != IGNORED
    # The prediction of a label stands one position before it.
    return torch.nn.functional.pad(batch.labels[:, 1:] != IGNORED, (0, 1)) & batch.counted


def _over_tokens(
    logits: Float[Tensor, "batch pos 2"], batch: Batch, temperature: float
) -> Float[Tensor, "batch 2 pos"]:
    # Finite after the division by the temperature: two infinities make a difference that is not a number.
    lowest = torch.finfo(logits.dtype).min * min(temperature, 1.0)
    return logits.transpose(1, 2).masked_fill(~batch.counted[:, None], lowest)
