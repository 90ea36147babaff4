"""The parts of a teacher's run that are kept between epochs, and the run that is rebuilt from them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causalkd.data.batch import Batch
from causalkd.data.token_mask import TOKEN_TASKS
from causalkd.losses.precision import at_least_float32_clamped
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.task_types import LANGUAGE_MODELS

Counterfactual = Mapping[str, Tensor | Sequence[Tensor]]
"""Tensors of (batch, …), (batch, pos, …), or for each row of the batch one of its own items, (item, …)."""

_LOGITS = "logits"


@runtime_checkable
class OutputCache(Protocol):
    """A store of a teacher's outputs between epochs.

    Attributes:
        top_k: The number of a language model's logits that are kept for each prediction, with the total probability of
            all others; None keeps all.
        states: Whether hidden states and activations are kept too.
        counterfactuals: Whether the teacher's outputs after an interchange are kept too.
        is_all: Whether it replaces the teacher, so that outputs that it lacks cannot be computed.
    """

    top_k: int | None
    states: bool
    counterfactuals: bool
    is_all: bool

    def recall(self, what: str, batch: Batch, depends_on: Tensor | None = None) -> Mapping[str, Tensor] | None:
        """The outputs kept for every row of a batch, items of all rows in one tensor; None if a row is missing."""
        ...

    def keep(self, what: str, batch: Batch, answer: Counterfactual, depends_on: Tensor | None = None) -> None:
        """Keeps the teacher's outputs of each row; `depends_on` holds what they depend on besides the row's tokens."""
        ...


@dataclass(frozen=True, eq=False)
class CachedPredictions:
    """The predictions of a run of an earlier epoch."""

    predicted: "Tensor | TopK"

    @cached_property
    def logits(self) -> Tensor:
        """The same as for `ForwardOutput`."""
        return self.predicted if isinstance(self.predicted, Tensor) else self.predicted.whole()

    @property
    def item_predictions(self) -> "Tensor | TopK":
        """The same as for `ForwardOutput`."""
        return self.predicted.flatten(0, -2) if isinstance(self.predicted, Tensor) else self.predicted

    @property
    def item_logits(self) -> Tensor:
        """See `ForwardOutput`."""
        return self.logits.flatten(0, -2)


@dataclass(frozen=True, eq=False)
class TopK:
    """The likeliest predictions with their log-probabilities; all others share the rest evenly.

    Attributes:
        largest: Log-probabilities.
        choice: The choices they belong to.
        rest: The logarithm of the total probability of all others.
        choices: The number of choices.
    """

    largest: Float[Tensor, "item k"]
    choice: Int[Tensor, "item k"]
    rest: Float[Tensor, "item 1"]
    choices: int

    @property
    def shape(self) -> torch.Size:
        """The shape of the logits."""
        return torch.Size([len(self.choice), self.choices])

    def rows(self, chunk: slice) -> Float[Tensor, "row choice"]:
        """The logits of some rows."""
        even = self.rest[chunk] - math.log(max(self.choices - self.choice.shape[-1], 1))
        return even.expand(-1, self.choices).scatter(-1, self.choice[chunk].long(), self.largest[chunk])

    def whole(self) -> Float[Tensor, "item choice"]:
        """The logits."""
        return self.rows(slice(None))


class CachedForwards:
    """A teacher's runs of base in a memory: predictions, and if the memory has `states`, all that a run keeps.

    With `top_k`, the k likeliest predictions come back with their own probabilities, and all others share the rest
    evenly: every divergence then compares whole distributions. At temperature 1 only the distribution among the
    remaining choices is lost; at other temperatures their total probability, too, is that of an even distribution over
    them.

    Args:
        teacher: The frozen model.
        memory: The store of the outputs.
        batch: The step's rows.
        logits_at: The positions where a per-token head predicts, numbered through the rows.
        about: The change to the run, such as an interchange; empty for base itself.
        depends_on: Further values that the run depends on besides the row's tokens.
    """

    def __init__(
        self,
        teacher: HookedModel,
        memory: OutputCache,
        batch: Batch,
        logits_at: Tensor | None,
        about: str = "",
        depends_on: Tensor | None = None,
    ) -> None:
        self._teacher, self._memory, self._batch, self._logits_at = teacher, memory, batch, logits_at
        self._about, self._depends_on = about, depends_on
        self._per_token = logits_at is not None and teacher.task in TOKEN_TASKS
        self._possible = self._per_token or teacher.task not in TOKEN_TASKS
        self._top_k = memory.top_k if teacher.task in LANGUAGE_MODELS else None

    def predictions(self) -> CachedPredictions | None:
        """The predictions for these rows at these positions; None if they are not known."""
        found = (
            self._memory.recall(self._predictions_key, self._predicting, self._depends_on) if self._possible else None
        )
        if found is None:
            return None
        return CachedPredictions(found[_LOGITS] if self._top_k is None else self._whole(found))

    def run(self, hook_points: Sequence[HookPoint]) -> ForwardOutput | None:
        """The run with its states at these hook points; None if they are not known, or states are not kept."""
        if not self._memory.states:
            return None
        predicted = self.predictions()
        states = (
            None if predicted is None else self._memory.recall(self._states(hook_points), self._batch, self._depends_on)
        )
        if predicted is None or states is None:
            return None
        activations = {hook_point: states[hook_point.name] for hook_point in hook_points}
        return ForwardOutput(
            self._batch.inputs, predicted.logits, states["hidden"], activations, logits_at=self._logits_at
        )

    def keep(self, run: ForwardOutput, hook_points: Sequence[HookPoint]) -> None:
        """Keeps the parts of a run that the memory's settings ask for."""
        if not self._possible:
            return
        predicted: Counterfactual = self._few(run.logits) if self._per_token else {_LOGITS: run.logits}
        self._memory.keep(self._predictions_key, self._predicting, predicted, self._depends_on)
        if self._memory.states:
            states = {"hidden": run.hidden} | {
                hook_point.name: run.activations[hook_point] for hook_point in hook_points
            }
            self._memory.keep(self._states(hook_points), self._batch, states, self._depends_on)

    @property
    def _predictions_key(self) -> str:
        which = "" if self._top_k is None else f", the {self._top_k} largest"
        # Students that pad the vocabulary to another size learn from the logits of fewer entries.
        of = "" if self._teacher.entries is None else f", of {self._teacher.entries} entries"
        return f"{self._about}{_LOGITS}{which}{of}"

    @property
    def _predicting(self) -> Batch:
        """The rows and their predicted tokens, which together identify a prediction."""
        if not self._per_token:
            return self._batch
        return replace(self._batch, inputs={**self._batch.inputs, "predicted": self._predicted()})

    def _predicted(self) -> Bool[Tensor, "batch pos"]:
        assert self._logits_at is not None
        found = torch.zeros_like(self._batch.counted)
        found.flatten().index_fill_(0, self._logits_at, value=True)
        return found

    def _few(self, logits: Float[Tensor, "item choice"]) -> dict[str, Sequence[Tensor]]:
        """The logits row by row, or the largest and the rest, as log-probabilities."""
        found = {_LOGITS: logits}
        if self._top_k is not None:
            logits = at_least_float32_clamped(
                logits
            )  # half precision would round each logarithm by more than its logit
            whole = logits.logsumexp(-1, keepdim=True)
            largest = logits.topk(min(self._top_k, logits.shape[-1]), dim=-1)
            rest = logits.scatter(-1, largest.indices, float("-inf")).logsumexp(-1, keepdim=True)
            found = {"largest": largest.values - whole, "choice": largest.indices.int(), "rest": rest - whole}
        counts = self._predicted().sum(1).tolist()
        return {name: each.split(counts) for name, each in found.items()}

    def _whole(self, found: Mapping[str, Tensor]) -> TopK:
        choices = self._teacher.entries or self._teacher.model.config.get_text_config().vocab_size
        return TopK(found["largest"], found["choice"], found["rest"], choices)

    def _states(self, hook_points: Sequence[HookPoint]) -> str:
        return f"{self._about}states at {sorted(hook_point.name for hook_point in hook_points)}"
