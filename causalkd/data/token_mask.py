"""The positions where predictions of single tokens count, and the label of each."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional

from causalkd.data.batch import IGNORED, Batch
from causalkd.task_types import TOKEN_TASKS, Task

Tokens = Literal["all", "labelled"]
_SOURCE = "source: "


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


def predicting_at(task: Task, batch: Batch, tokens: Tokens = "all") -> Int[Tensor, "item"] | None:
    """The positions of predictions that count, numbered through the rows; None for heads that predict once a row.

    If the batch does not hold them (`with_positions`), the host waits to learn how many there are.
    """
    counted = counted_tokens(task, batch, tokens)
    if counted is None:
        return None
    known = batch.predicting.get(_key(task, tokens))
    return flat_positions(counted) if known is None else known


def with_positions(batch: Batch) -> Batch:
    """The batch with all positions at which a head may have to predict, of base and of the sources as base.

    On a device their number cannot be told without waiting; a collator can tell it on the host.
    """
    of_source = {f"{_SOURCE}{key}": found for key, found in _positions(_sources_as_base(batch)).items()}
    student = None if batch.student is None else with_positions(batch.student)
    return replace(batch, predicting=_positions(batch) | of_source, student=student)


def of_sources(predicting: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those positions that `with_positions` found for the sources as base."""
    return {key.removeprefix(_SOURCE): found for key, found in predicting.items() if key.startswith(_SOURCE)}


def _sources_as_base(batch: Batch) -> Batch | None:
    if batch.source is not None:
        return Batch(batch.source, batch.source_labels)
    if batch.source_rows is None:
        return None
    labels = None if batch.labels is None else batch.labels[batch.source_rows]
    return Batch({"attention_mask": batch.inputs["attention_mask"][batch.source_rows]}, labels)


def _positions(batch: Batch | None) -> dict[str, Tensor]:
    if batch is None:
        return {}
    per_token = batch.labels is None or batch.labels.shape == batch.counted.shape
    kinds: list[tuple[Task, Tokens]] = [("masked_lm", "all")]
    if per_token:
        kinds.extend((("masked_lm", "labelled"), ("causal_lm", "labelled")))
    masks = {_key(task, tokens): counted_tokens(task, batch, tokens) for task, tokens in kinds}
    return {key: flat_positions(mask) for key, mask in masks.items() if mask is not None}


def _key(task: Task, tokens: Tokens) -> str:
    """All real tokens are the same for every head; labelled ones are one further for a causal language model's."""
    if tokens == "all":
        return tokens
    return f"next {tokens}" if task == "causal_lm" else tokens


def flat_positions(mask: Bool[Tensor, "batch pos"]) -> Int[Tensor, " item"]:
    """The positions where a mask is true, numbered through the rows of the batch. The host waits for their number."""
    return mask.flatten().nonzero()[:, 0]
