"""What the teacher says of one step's base rows, worked out when an objective first asks."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from causalkd.attribution.differentiable import run_from
from causalkd.data.batch import Batch
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.cached_predictions import CachedForwards, CachedPredictions, OutputCache
from causalkd.objectives.teacher_map import TeacherMap


class TeacherOutputs:
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
        hook_points: tuple[HookPoint, ...] = (),
        logits_at: Int[Tensor, " item"] | None = None,
        asked: TeacherMap | None = None,
        memory: OutputCache | None = None,
    ) -> None:
        self._teacher, self._batch, self._places, self._logits_at = teacher, batch, hook_points, logits_at
        self._asked, self._memory = asked, memory
        self._runs = None if memory is None else CachedForwards(teacher, memory, batch, logits_at)
        self._run: ForwardOutput | None = None
        self._map: Mapping[str, Tensor] | None = None

    def run(self) -> ForwardOutput:
        """The teacher's run, without a graph; the map that is asked for is made of the same forward."""
        if self._run is None:
            remembered = self._asked is None or self._remembered()
            known = self._runs.run(self._places) if self._runs is not None and remembered else None
            self._run = known or self._fresh(with_map=not remembered)
        return self._run

    def predictions(self) -> ForwardOutput | CachedPredictions:
        """The run, or what is remembered of its predictions alone."""
        if self._run is None and self._runs is not None:
            known = self._runs.predictions()
            if known is not None:
                return known
        return self.run()

    def map(self, asked: TeacherMap) -> Mapping[str, Tensor]:
        """The map that was announced as `asked`."""
        if asked != self._asked:
            raise ValueError(
                f"the map {asked} was not announced in the objective's `hook_points`; it was {self._asked}"
            )
        if not self._remembered():
            self.run()
        assert self._map is not None
        return self._map

    def _remembered(self) -> bool:
        if self._map is None and self._asked is not None and self._memory is not None:
            self._map = self._memory.recall(self._asked.key, self._batch, self._beside())
        return self._map is not None

    def _fresh(self, with_map: bool) -> ForwardOutput:
        run = self._with_map() if with_map else self._without_map()
        if self._runs is not None:
            self._runs.keep(run, self._places)
        return run

    def _without_map(self) -> ForwardOutput:
        return self._teacher.run(self._batch.inputs, self._places, logits_at=self._logits_at)

    def _with_map(self) -> ForwardOutput:
        assert self._asked is not None
        teacher, batch = self._teacher, self._batch
        run = run_from(teacher, batch.inputs, self._asked.hook_point, self._places, self._logits_at)
        self._map = self._asked.of(teacher, run, batch)
        if self._memory is not None:
            self._memory.keep(self._asked.key, batch, self._map, self._beside())
        kept = {hook_point: run.activations[hook_point].detach() for hook_point in self._places}
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
