"""Comparing what two models predict, whatever the head."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from causalkd.data.batch import Batch
from causalkd.data.token_mask import Tokens, counted_tokens
from causalkd.losses.divergence import (
    forward_kl,
    jensen_shannon,
    reverse_kl,
    skewed_forward_kl,
    skewed_reverse_kl,
    total_variation,
)
from causalkd.losses.hidden import squared_distance
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.objectives.cached_predictions import CachedPredictions
from causalkd.task_types import Task

DivergenceName = Literal[
    "forward_kl", "reverse_kl", "jensen_shannon", "total_variation", "skewed_forward_kl", "skewed_reverse_kl"
]
Divergence = Callable[..., Float[Tensor, ""]]
"""(student's logits, teacher's, mask, temperature) → the mean over what counts."""

_DIVERGENCES: dict[DivergenceName, Divergence] = {
    "forward_kl": forward_kl,
    "reverse_kl": reverse_kl,
    "jensen_shannon": jensen_shannon,
    "total_variation": total_variation,
    "skewed_forward_kl": skewed_forward_kl,
    "skewed_reverse_kl": skewed_reverse_kl,
}
_SHARE_OF = {"jensen_shannon": "beta", "skewed_forward_kl": "alpha", "skewed_reverse_kl": "alpha"}


def named_divergence(name: DivergenceName, share: float | None = None) -> Divergence:
    """A divergence by its name, with its β or α where one is given.

    Raises:
        ValueError: The name is unknown, or its divergence has no share.
    """
    if name not in _DIVERGENCES:
        raise ValueError(f"there is no divergence {name!r}; there are {', '.join(_DIVERGENCES)}")
    if share is None:
        return _DIVERGENCES[name]
    if name not in _SHARE_OF:
        mixing = ", ".join(_SHARE_OF)
        raise ValueError(f"{name} mixes no distributions and has no `share`; leave it out, or use {mixing}")
    return partial(_DIVERGENCES[name], **{_SHARE_OF[name]: share})


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
    # Finite after the division by the temperature: two infinities make a difference that is not a number.
    lowest = torch.finfo(logits.dtype).min * min(temperature, 1.0)
    return logits.transpose(1, 2).masked_fill(~batch.counted[:, None], lowest)
