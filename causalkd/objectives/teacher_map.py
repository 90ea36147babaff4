"""The teacher's part of AD-KD: the outputs that are explained, and its attribution map of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causalkd.attribution.differentiable import traced_attributions
from causalkd.attribution.maps import token_norms
from causalkd.attribution.targets import Target, Views, class_views, label_views, logits_at, token_views
from causalkd.data.batch import Batch
from causalkd.data.rng import Stream, uniforms
from causalkd.data.token_mask import counted_tokens
from causalkd.losses.task import one_number_a_row
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.task_types import Task

StudentAttributions = Literal["all", "label"] | int
"""Every class, the label alone, or this many of the teacher's likeliest tokens at one position of each row."""


@dataclass(frozen=True)
class TeacherMap:
    """A teacher's map of base as an objective requires it: equal settings give equal maps for all objectives.

    Attributes:
        hook_point: The teacher's hook point of the map.
        views: The outputs that are explained.
        target: The scalar of each output that is explained.
        steps: Number of integration steps.
        top_k: The number of the largest dimensions of each position that count.
        seed: The seed of the drawn positions.
    """

    hook_point: HookPoint
    views: StudentAttributions
    target: Target
    steps: int
    top_k: int
    seed: int = 0

    def position(self, task: Task, batch: Batch) -> tuple[Int[Tensor, "batch"], Bool[Tensor, "batch"]] | None:
        """One labelled position of each row and whether it has any, drawn by `seed` and the example's number.

        None for heads that predict once a row. An example keeps its position, so that its map can be kept.
        """
        counted = counted_tokens(task, batch, "labelled")
        if counted is None:
            return None
        drawn = uniforms(self.seed, 0, batch.numbers, Stream.EXPLAINED_POSITION, 1)[:, 0].to(counted.device)
        rank = (drawn * counted.sum(1)).long() + 1
        return (counted.cumsum(1) == rank[:, None]).long().argmax(1), counted.any(1)

    @property
    def key(self) -> str:
        """The settings that a row's map depends on in addition to its drawn position; the seed is not one of them."""
        return repr(replace(self, seed=0))

    def depends_on(self, task: Task, batch: Batch) -> Tensor | None:
        """The explained position, counted from the first real one, or the label; a map depends on it too."""
        found = self.position(task, batch)
        if found is not None:
            return torch.stack([found[0] - batch.counted.long().argmax(1), found[1].long()], dim=1)
        labelled = self.views == "label" or self.target == "loss"
        return batch.labels[:, None] if labelled and batch.labels is not None else None

    def valid(self, task: Task, batch: Batch) -> Bool[Tensor, "batch"] | None:
        """The rows with an explained output; None means all rows."""
        found, labels = self.position(task, batch), batch.labels
        if found is not None:
            return found[1]
        if self.views != "label" or labels is None or task == "regression":
            return None
        return labels >= 0

    def amount(self, task: Task, batch: Batch) -> Int[Tensor, ""]:
        """The number of positions that have an attribution, for each view, if every layer attends to all tokens."""
        reach, valid, found = batch.counted, self.valid(task, batch), self.position(task, batch)
        if valid is not None:
            reach = reach & valid[:, None]
        if found is not None and task == "causal_lm":
            reach = reach & (torch.arange(reach.shape[1], device=reach.device) <= found[0][:, None])
        if found is not None and "documents" in batch.inputs:
            documents = batch.inputs["documents"]
            reach = reach & (documents == documents.gather(1, found[0][:, None]))
        return reach.sum()

    def of(self, teacher: HookedModel, run: ForwardOutput, batch: Batch) -> dict[str, Tensor]:
        """`scores` (batch, pos, view) and, for tokens, `choice` (batch, view); frees the run's graph."""
        found = self.position(teacher.task, batch)
        logits = explained_logits(run, found)
        if isinstance(self.views, int):
            assert found is not None
            views = token_views(logits.detach(), found[0], self.views)
        else:
            views = self.fixed_views(teacher.task, batch, logits.shape[-1])
        values = traced_attributions(
            teacher, run, logits, views, hook_point=self.hook_point, steps=self.steps, target=self.target
        )
        scores = {"scores": token_norms(values, self.top_k).permute(1, 2, 0).contiguous()}
        return scores | ({"choice": views.choice.T.contiguous()} if isinstance(self.views, int) else {})

    def views_of(self, answer: Mapping[str, Tensor], task: Task, batch: Batch, classes: int) -> Views:
        """The views of a map that `of` made."""
        if not isinstance(self.views, int):
            return self.fixed_views(task, batch, classes)
        found = self.position(task, batch)
        assert found is not None
        return Views(answer["choice"].T, found[0])

    def fixed_views(self, task: Task, batch: Batch, classes: int) -> Views:
        """The views that depend on no prediction.

        Raises:
            ValueError: The label is to be explained, but there is none.
        """
        if self.views == "all" and not (classes == 1 and self.target == "loss"):
            return class_views(classes, len(batch.counted), batch.counted.device)
        if batch.labels is None:
            raise ValueError(
                "adkd explains the label, and the data have none; label them, or set adkd's `views` to all"
            )
        return label_views(one_number_a_row(batch.labels) if task == "regression" else batch.labels)


def explained_logits(
    run: ForwardOutput, position: tuple[Int[Tensor, "batch"], Bool[Tensor, "batch"]] | None
) -> Float[Tensor, "batch choice"]:
    """The logits of each row, at its position if the head predicts per token; 0 in rows that have none."""
    if position is None:
        return run.logits
    at, valid = position
    flat = logits_at(Views(at[None], at), run.inputs["input_ids"].shape[1])
    assert flat is not None
    items = flat if run.logits_at is None else torch.searchsorted(run.logits_at, flat)
    known = run.item_predictions
    if not known.shape[0]:  # not one token of the batch has a label; the sum of nothing stays in the graph
        return run.outputs.sum() + run.outputs.new_zeros(len(at), known.shape[-1])
    chosen = known[items.clamp(max=known.shape[0] - 1)]
    return (chosen if isinstance(chosen, Tensor) else chosen.whole()).where(valid[:, None], 0)
