"""Compare the predictions of two models, for any prediction head."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from causalkd.data.batch import Batch
from causalkd.data.token_mask import TOKEN_TASKS, Tokens, counted_tokens
from causalkd.losses.chunked import Kernel
from causalkd.losses.divergence_table import DIVERGENCES, DivergenceName
from causalkd.losses.fused import RowLoss
from causalkd.losses.hidden import squared_distance
from causalkd.losses.predictions import Predictions, Unprojected
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.objectives.cached_predictions import CachedPredictions
from causalkd.registries import imported
from causalkd.task_types import Task


class Divergence(NamedTuple):
    """A divergence with its β or α.

    Attributes:
        mean: (student's logits, teacher's, mask, temperature) → the mean over what counts.
        kernel: The divergence of each row, so that it can be computed a few rows at a time; None if it is not known.
    """

    mean: Callable[..., Float[Tensor, ""]]
    kernel: Kernel | None


def named_divergence(name: DivergenceName = "forward_kl", share: float | None = None) -> Divergence:
    """A divergence by its name, with its β or α if one is given.

    Raises:
        ValueError: The name is unknown, its divergence has no share, or the share is out of bounds.
    """
    if name not in DIVERGENCES:
        raise ValueError(f"there is no divergence {name!r}; there are {', '.join(DIVERGENCES)}")
    entry = DIVERGENCES[name]
    if share is not None and entry.share is None:
        mixing = ", ".join(key for key, each in DIVERGENCES.items() if each.share is not None)
        raise ValueError(f"{name} mixes no distributions and has no `share`; leave it out, or use {mixing}")
    mean = imported(entry.function)
    mean = mean if share is None or entry.share is None else partial(mean, **{entry.share: share})
    return Divergence(mean, None if entry.kernel is None else imported(entry.kernel)(name, share))


def prediction_distance(
    task: Task,
    student: ForwardOutput,
    teacher: ForwardOutput | CachedPredictions,
    batch: Batch,
    temperature: float,
    tokens: Tokens = "all",
    divergence: Divergence | None = None,
) -> Float[Tensor, ""]:
    """T² · a divergence of the predictions at temperature T, averaged over what counts.

    These predictions count: every real token for language models and tagging (or the labelled ones), every row for
    classification, every label of every row, present or absent, for multi-label heads, start and end over the real
    tokens for question answering. Regression has no distribution and is compared by the squared difference. Both runs
    must have their logits at the same positions, and at all that count.
    """
    if task == "regression":
        return squared_distance(student.logits, teacher.logits)
    rows = prediction_rows(task, student, teacher, batch, temperature, tokens, divergence)
    if rows is not None:
        return rows.value()
    assert divergence is not None
    mask, one, other = _compared(task, student, teacher, batch, temperature, tokens)
    logits = (each if isinstance(each, Tensor) else each.whole() for each in (one, other))
    return temperature**2 * divergence.mean(*logits, mask, temperature)


def prediction_rows(
    task: Task,
    student: ForwardOutput,
    teacher: ForwardOutput | CachedPredictions,
    batch: Batch,
    temperature: float,
    tokens: Tokens = "all",
    divergence: Divergence | None = None,
) -> RowLoss | None:
    """The same as a loss that can share a pass with others; None for a regression, or a divergence without a kernel."""
    kernel = (divergence or named_divergence()).kernel
    if task == "regression" or kernel is None:
        return None
    mask, one, other = _compared(task, student, teacher, batch, temperature, tokens)
    return RowLoss(one, kernel, (other,), mask, temperature=temperature, factor=temperature**2)


def _compared(
    task: Task,
    student: ForwardOutput,
    teacher: ForwardOutput | CachedPredictions,
    batch: Batch,
    temperature: float,
    tokens: Tokens,
) -> tuple[Tensor | None, Tensor | Unprojected, Predictions]:
    """The mask of predictions that count, and both models' predictions."""
    counted = counted_tokens(task, batch, tokens)
    mask = None if counted is None else student.of_items(counted)
    if task == "multi_label":
        return mask, _present_or_absent(student.logits), _present_or_absent(teacher.logits)
    if task == "question_answering":
        one, other = (_over_tokens(each.logits, batch, temperature) for each in (student, teacher))
        return mask, one, other
    if task in TOKEN_TASKS:
        return mask, student.item_predictions, teacher.item_predictions
    return mask, student.logits, teacher.logits


def _present_or_absent(logits: Float[Tensor, "batch label"]) -> Float[Tensor, "batch label 2"]:
    """Each label as a choice between two, whose softmax has the sigmoid of the logit at 1."""
    return torch.stack([torch.zeros_like(logits), logits], -1)


def _over_tokens(
    logits: Float[Tensor, "batch pos 2"], batch: Batch, temperature: float
) -> Float[Tensor, "batch 2 pos"]:
    # Finite after the division by the temperature: the difference of two infinities is not a number.
    lowest = torch.finfo(logits.dtype).min * min(temperature, 1.0)
    return logits.transpose(1, 2).masked_fill(~batch.counted[:, None], lowest)
