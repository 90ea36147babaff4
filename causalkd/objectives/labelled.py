"""The teacher's predictions about the gold labels: the shared functions of the objectives that need them."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from causalkd.data.batch import IGNORED, Batch
from causalkd.data.token_mask import TOKEN_TASKS, counted_tokens, targets
from causalkd.losses.gold_odds import TeacherOdds, teacher_odds
from causalkd.losses.predictions import Predictions, Unprojected
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.objectives.base import StepContext
from causalkd.task_types import Task


def labelled(task: Task, batch: Batch) -> Bool[Tensor, "batch *rest"]:
    """The mask of labels that count, each at its prediction's position: not −100, and for tokens not at padding.

    For a regression all count. Without labels every real token counts, or every row.
    """
    counted = counted_tokens(task, batch, "labelled")
    if counted is not None:
        return counted
    if batch.labels is None:
        return batch.counted.any(1)
    return torch.ones_like(batch.labels, dtype=torch.bool) if task == "regression" else batch.labels != IGNORED


def how_many_labelled(task: Task, batch: Batch) -> Int[Tensor, ""]:
    """The number of labels that count, as `Requirements.count`."""
    return labelled(task, batch).sum()


class Gold(NamedTuple):
    """The predictions that have a label, and the label of each."""

    student_logits: Tensor | Unprojected
    teacher_logits: Predictions
    label: Int[Tensor, " item"]
    mask: Bool[Tensor, " item"]

    def teacher_odds(self, temperature: float) -> TeacherOdds:
        """The teacher's log-odds of each label; their negatives grow with its uncertainty, and keep precision."""
        return teacher_odds(self.teacher_logits, self.label, self.mask, temperature)


def gold_of(run: StepContext, objective: str) -> Gold:
    """The labelled predictions of a step: tokens of per-token heads, rows of a classifier.

    Raises:
        ValueError: The data have no labels, or the head has no gold label among its choices.
    """
    task, labels = run.student.task, run.batch.labels
    if task not in (*TOKEN_TASKS, "classification"):
        raise ValueError(
            f"the objective `{objective}` compares the gold label with all others in one softmax over labels, and "
            f"{task} has none; leave it out"
        )
    if labels is None:
        raise ValueError(f"the objective `{objective}` needs gold labels and the data have none; label the data")
    student_run, mask = run.student_run, labelled(task, run.batch)
    if task in TOKEN_TASKS:
        labels, mask = student_run.of_items(targets(task, labels)), student_run.of_items(mask)
    return Gold(student_run.item_predictions, run.predicted().item_predictions, labels.where(mask, 0), mask)


def of_sequences(run: ForwardOutput, values: Shaped[Tensor, " item"]) -> Shaped[Tensor, "batch pos"]:
    """The values that belong to each row of `item_logits`, each at its position in its sequence; 0 elsewhere."""
    everywhere = values.new_zeros(run.inputs["attention_mask"].shape)
    if run.logits_at is None:
        return values.view_as(everywhere)
    return everywhere.flatten().index_copy(0, run.logits_at, values).view_as(everywhere)
