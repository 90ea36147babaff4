"""Batches whose labels and tokens a training's models have: checked where they are made, on the host."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from causalkd.data.batch import IGNORED, NestedTensors
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import n_embeddings
from causalkd.models.vocabularies import shared_entries
from causalkd.task_types import LANGUAGE_MODELS, Task

_WHAT = {"question_answering": "the row has the tokens"}


@dataclass(frozen=True, eq=False)
class CheckedBatches:
    """A collator whose batches are checked against the models: all objectives then read the same labels.

    Class labels of shape (batch, 1) become (batch,). What has no label is −100, for every objective.
    """

    make: Callable[[Sequence[Mapping[str, Any]]], NestedTensors]
    """The collator."""
    task: Task
    """The task of the models."""
    labels: int
    """How many labels the student's head has."""
    tokens: int
    """How many tokens the student has embeddings of."""
    teacher_tokens: int
    """How many tokens the teacher has embeddings of."""
    shared_tokens: int
    """The tokens of a row that both models read; the student's unless both have the same tokenizer."""

    @classmethod
    def of(
        cls, make: Callable[..., NestedTensors], student: HookedModel, teacher: HookedModel | None
    ) -> "CheckedBatches":
        """The batches of a collator for two models, or for one that has no teacher."""
        choices = student.vocabulary if student.task in LANGUAGE_MODELS else student.model.config.num_labels or 0
        own, other = (n_embeddings(model.model) for model in (student, teacher or student))
        same = teacher is not None and shared_entries(teacher, student) is not None
        return cls(make, student.task, choices, own, other, min(own, other) if same else own)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> NestedTensors:
        """The batch of some rows.

        Raises:
            ValueError: A label is none of the head's, or a model has no embedding of a token.
        """
        batch = dict(self.make(rows))
        if "inputs" not in batch:
            return batch  # of another collator, which `Batch.from_tensors` refuses
        own = batch.get("student")
        if own is not None:
            batch["student"] = self._checked(own, self.tokens)
        return self._checked(batch, self.shared_tokens if own is None else self.teacher_tokens)

    def _checked(self, batch: NestedTensors, tokens: int) -> NestedTensors:
        for part in ("inputs", "source"):
            ids = batch.get(part, {}).get("input_ids")
            if ids is not None and not 0 <= int(ids.min()) <= int(ids.max()) < tokens:
                raise ValueError(
                    f"a row has the token {int(ids.max())}, and the model that reads it has embeddings of the tokens 0 "
                    f"to {tokens - 1}; tokenise with the model's own tokenizer"
                )
        read = {
            name: self._read(batch[name], batch[part]["input_ids"].shape)
            for name, part in (("labels", "inputs"), ("source_labels", "source"))
            if name in batch and part in batch
        }
        return {**batch, **read}

    def _read(self, labels: Tensor, tokens: torch.Size) -> Tensor:
        """The labels as the objectives read them; raises ValueError if the head has not these."""
        if self.task == "regression":
            return labels
        if self.task == "classification" and labels.shape == (len(labels), 1):
            labels = labels[:, 0]
        shapes = {
            "classification": tokens[:1],
            "multi_label": (tokens[0], self.labels),
            "question_answering": (tokens[0], 2),
        }
        expected = tuple(shapes.get(self.task, tokens))
        if labels.shape != expected:
            raise ValueError(f"labels of {self.task} have shape {tuple(labels.shape)}, and {expected} is needed")
        if self.task == "multi_label":
            _check(labels, 1, "each label of a row is 0 or 1")
            return labels
        if labels.is_floating_point() or labels.dtype == torch.bool:
            raise ValueError(f"labels are of type {labels.dtype}; a class or a token is a whole number")
        most = tokens[1] if self.task == "question_answering" else self.labels
        _check(labels, most - 1, f"{_WHAT.get(self.task, 'the head has the labels')} 0 to {most - 1}")
        return labels.long()


def _check(labels: Tensor, most: int, what: str) -> None:
    wrong = labels[(labels != IGNORED) & ~((labels >= 0) & (labels <= most))]
    if len(wrong):
        raise ValueError(
            f"there is the label {wrong[0].item():g}, and {what}; correct it, or give what has no label {IGNORED}"
        )
