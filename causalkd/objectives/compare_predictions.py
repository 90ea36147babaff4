"""Compare the predictions of two models, for any prediction head."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from causalkd.data.batch import Batch
from causalkd.data.token_mask import Tokens, counted_tokens
from causalkd.losses.divergence import forward_kl
from causalkd.losses.divergence_table import DIVERGENCES, DivergenceName
from causalkd.losses.hidden import squared_distance
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.objectives.cached_predictions import CachedPredictions
from causalkd.tables import imported
from causalkd.task_types import Task

Divergence = Callable[..., Float[Tensor, ""]]
"""(student's logits, teacher's, mask, temperature) → the mean over what counts."""


def named_divergence(name: DivergenceName, share: float | None = None) -> Divergence:
    """A divergence by its name, with its β or α where one is given.

    Raises:
        ValueError: The name is unknown, or its divergence has no share.
    """
    if name not in DIVERGENCES:
        raise ValueError(f"there is no divergence {name!r}; there are {', '.join(DIVERGENCES)}")
    entry = DIVERGENCES[name]
    if share is None:
        return imported(entry.function)
    if entry.share is None:
        mixing = ", ".join(key for key, each in DIVERGENCES.items() if each.share is not None)
        raise ValueError(f"{name} mixes no distributions and has no `share`; leave it out, or use {mixing}")
    return partial(imported(entry.function), **{entry.share: share})


def prediction_distance(
    task: Task,
    student: ForwardOutput,
    teacher: ForwardOutput | CachedPredictions,
    batch: Batch,
    temperature: float,
    tokens: Tokens = "all",
    divergence: Divergence = forward_kl,
) -> Float[Tensor, ""]:
    """T² · a divergence of the predictions at temperature T, averaged over what counts.

    What counts: every real token for language models and tagging (or the labelled ones), every row for classification,
    every label of every row, present or absent, for multi-label heads, start and end over the real tokens for question
    answering. Regression has no distribution: the squared difference.
    Both runs have their logits at the same positions, and at all that count.
    """
    if task == "regression":
        return squared_distance(student.logits, teacher.logits)
    mask, logits = None, (student.logits, teacher.logits)
    counted = counted_tokens(task, batch, tokens)
    if counted is not None:
        mask, logits = student.of_items(counted), (student.item_logits, teacher.item_logits)
    elif task == "multi_label":
        logits = (_present_or_absent(student.logits), _present_or_absent(teacher.logits))
    elif task == "question_answering":
        logits = (_over_tokens(student.logits, batch, temperature), _over_tokens(teacher.logits, batch, temperature))
    return temperature**2 * divergence(*logits, mask, temperature)


def _present_or_absent(logits: Float[Tensor, "batch label"]) -> Float[Tensor, "batch label 2"]:
    """Each label as a choice between two, whose softmax has the sigmoid of the logit at 1."""
    return torch.stack([torch.zeros_like(logits), logits], -1)


def _over_tokens(
    logits: Float[Tensor, "batch pos 2"], batch: Batch, temperature: float
) -> Float[Tensor, "batch 2 pos"]:
    # Finite after the division by the temperature: the difference of two infinities is not a number.
    lowest = torch.finfo(logits.dtype).min * min(temperature, 1.0)
    return logits.transpose(1, 2).masked_fill(~batch.counted[:, None], lowest)
