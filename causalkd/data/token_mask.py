"""The positions where predictions of single tokens count, and the label of each."""

from typing import Literal

from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional

from causalkd.data.batch import IGNORED, Batch
from causalkd.task_types import Task

Tokens = Literal["all", "labelled"]
TOKEN_TASKS: tuple[Task, ...] = ("masked_lm", "causal_lm", "token_classification")
"""Tasks whose heads predict once per token."""


def targets(task: Task, labels: Int[Tensor, "batch pos"]) -> Int[Tensor, "batch pos"]:
    """The label of each position's prediction: a causal LM's is the next position's token."""
    return functional.pad(labels[:, 1:], (0, 1), value=IGNORED) if task == "causal_lm" else labels


def counted_tokens(task: Task, batch: Batch, tokens: Tokens = "all") -> Bool[Tensor, "batch pos"] | None:
    """The mask of per-token predictions that count, never at padding; None for heads that predict once per row.

    Without labels every real token counts as labelled.
    """
    if task not in TOKEN_TASKS:
        return None
    if tokens == "all" or batch.labels is None:
        return batch.counted
    return (targets(task, batch.labels) != IGNORED) & batch.counted


def flat_positions(mask: Bool[Tensor, "batch pos"]) -> Int[Tensor, " item"]:
    """The positions where a mask is true, numbered through the rows of the batch. The host waits for their number."""
    return mask.flatten().nonzero()[:, 0]
