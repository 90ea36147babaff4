"""Comparing what two models predict, whatever the head."""

import torch
from jaxtyping import Float
from torch import Tensor

from causalkd.data.batch import Batch
from causalkd.data.counted import Tokens, counted_tokens
from causalkd.losses.divergence import forward_kl
from causalkd.losses.hidden import squared_distance
from causalkd.models.run import Run
from causalkd.task_kinds import Task


def prediction_distance(
    task: Task,
    student: Run,
    teacher: Run,
    batch: Batch,
    temperature: float,
    tokens: Tokens = "all",
) -> Float[Tensor, ""]:
    """T² · KL(teacher || student) of the predictions at temperature T, averaged over what counts.

    What counts: every real token for language models and tagging (or the labelled ones), every row for classification,
    start and end over the real tokens for question answering. Regression has no distribution: the squared difference.
    Both runs have their logits at the same positions, and at all that count.
    """
    if task == "regression":
        return squared_distance(student.logits, teacher.logits)
    mask, logits = None, (student.logits, teacher.logits)
    counted = counted_tokens(task, batch, tokens)
    if counted is not None:
        mask, logits = student.of_items(counted), (student.item_logits, teacher.item_logits)
    elif task == "question_answering":
        logits = (_over_tokens(student.logits, batch, temperature), _over_tokens(teacher.logits, batch, temperature))
    return temperature**2 * forward_kl(*logits, mask, temperature)


def _over_tokens(
    logits: Float[Tensor, "batch pos 2"], batch: Batch, temperature: float
) -> Float[Tensor, "batch 2 pos"]:
    # Finite after the division by the temperature: two infinities make a difference that is not a number.
    lowest = torch.finfo(logits.dtype).min * min(temperature, 1.0)
    return logits.transpose(1, 2).masked_fill(~batch.counted[:, None], lowest)
