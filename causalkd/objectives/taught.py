"""What the teacher says of one step's base rows, worked out when an objective first asks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from causalkd.attribution.traced import run_from
from causalkd.data.batch import Batch
from causalkd.models.hooked import HookedModel
from causalkd.models.places import Place
from causalkd.models.run import Run
from causalkd.objectives.teacher_map import TeacherMap

_LOGITS = "logits"
_ONCE_A_ROW = ("classification", "regression")


@runtime_checkable
class Memory(Protocol):
    """What keeps a teacher's answers between epochs."""

    def recall(self, what: str, batch: Batch, beside: Tensor | None = None) -> Mapping[str, Tensor] | None:
        """What was kept for every row of a batch; None where a row is not there."""
        ...

    def keep(self, what: str, batch: Batch, answer: Mapping[str, Tensor], beside: Tensor | None = None) -> None:
        """Keeps what the teacher said of each row; `beside` is what it depends on besides the row's tokens."""
        ...


@dataclass(frozen=True, eq=False)
class Remembered:
    """A run of an earlier epoch as far as it was kept."""

    logits: Tensor

    @property
    def item_logits(self) -> Tensor:
        """As for `Run`."""
        return self.logits.flatten(0, -2)


class Taught:
    """A teacher before one batch: runs at most once, and not at all where everything asked for is remembered.

    Args:
        teacher: The frozen model.
        batch: The step's rows.
        places: Places whose activations the run keeps.
        logits_at: Where a per-token head predicts.
        asked: The map that some objective will ask for.
        memory: Answers of earlier epochs.
    """

    def __init__(
        self,
        teacher: HookedModel,
        batch: Batch,
        places: tuple[Place, ...] = (),
        logits_at: Int[Tensor, " item"] | None = None,
        asked: TeacherMap | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._teacher, self._batch, self._places, self._logits_at = teacher, batch, places, logits_at
        self._asked, self._memory = asked, memory
        self._run: Run | None = None
        self._map: Mapping[str, Tensor] | None = None

    def run(self) -> Run:
        """The teacher's run, without a graph; the map that is asked for is made of the same forward."""
        if self._run is None:
            self._run = self._without_map() if self._asked is None or self._remembered() else self._with_map()
            if self._memory is not None and self._teacher.task in _ONCE_A_ROW:
                self._memory.keep(_LOGITS, self._batch, {_LOGITS: self._run.logits})
        return self._run

    def predictions(self) -> Run | Remembered:
        """The run, or of a head that predicts once a row what is remembered of it: the logits alone."""
        if self._run is None and self._memory is not None:
            known = self._memory.recall(_LOGITS, self._batch)
            if known is not None:
                return Remembered(known[_LOGITS])
        return self.run()

    def map(self, asked: TeacherMap) -> Mapping[str, Tensor]:
        """The map that was announced as `asked`."""
        if asked != self._asked:
            raise ValueError(f"the map {asked} was not announced in the objective's `places`; it was {self._asked}")
        if not self._remembered():
            self.run()
        assert self._map is not None
        return self._map

    def _remembered(self) -> bool:
        if self._map is None and self._memory is not None:
            self._map = self._memory.recall(repr(self._asked), self._batch, self._beside())
        return self._map is not None

    def _without_map(self) -> Run:
        return self._teacher.run(self._batch.inputs, self._places, logits_at=self._logits_at)

    def _with_map(self) -> Run:
        assert self._asked is not None
        teacher, batch = self._teacher, self._batch
        run = run_from(teacher, batch.inputs, self._asked.place, self._places, self._logits_at)
        self._map = self._asked.of(teacher, run, batch)
        if self._memory is not None:
            self._memory.keep(repr(self._asked), batch, self._map, self._beside())
        kept = {place: run.activations[place].detach() for place in self._places}
        return replace(run, logits=run.logits.detach(), hidden=run.hidden.detach(), activations=kept)

    def _beside(self) -> Tensor | None:
        """What a map depends on besides the row: the explained position, counted from the first real one, or label."""
        asked, batch = self._asked, self._batch
        assert asked is not None
        found = asked.position(self._teacher.task, batch)
        if found is not None:
            return torch.stack([found[0] - batch.counted.long().argmax(1), found[1].long()], dim=1)
        labelled = asked.views == "label" or asked.target == "loss"
        return batch.labels[:, None] if labelled and batch.labels is not None else None
