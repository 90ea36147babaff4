"""The teacher's outputs for one step's base rows, computed when an objective first needs them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol, runtime_checkable

from jaxtyping import Int
from torch import Tensor

from causalkd.attribution.differentiable import run_from
from causalkd.data.batch import Batch
from causalkd.data.token_mask import predicting_at
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.cached_predictions import CachedForwards, CachedPredictions, OutputCache
from causalkd.task_types import Task


@runtime_checkable
class TeacherQuery(Protocol):
    """A result, such as attributions, that an objective needs from the graph of the teacher's base run.

    Queries are equal if their answers are, and can be keys of a dictionary.
    """

    @property
    def hook_point(self) -> HookPoint:
        """The hook point where the graph of the run begins."""
        ...

    @property
    def key(self) -> str:
        """The settings that a row's answer depends on; answers are kept for later epochs under this key."""
        ...

    def of(self, teacher: HookedModel, run: ForwardOutput, batch: Batch) -> dict[str, Tensor]:
        """The answer, with one entry a row; uses up the run's graph."""
        ...

    def depends_on(self, task: Task, batch: Batch) -> Tensor | None:
        """Further values that a row's answer depends on besides its tokens, (batch, …); None if there are none."""
        ...


class TeacherOutputs:
    """A teacher and one batch: the teacher runs at most once, and not at all if every output is in the memory.

    Args:
        teacher: The frozen model.
        batch: The step's rows.
        hook_points: The hook points whose activations the run keeps.
        logits_at: The positions where a per-token head predicts.
        query: A further result, besides predictions and activations, that some objective will need.
        memory: The outputs of earlier epochs.
    """

    def __init__(
        self,
        teacher: HookedModel,
        batch: Batch,
        hook_points: tuple[HookPoint, ...] = (),
        logits_at: Int[Tensor, " item"] | None = None,
        query: TeacherQuery | None = None,
        memory: OutputCache | None = None,
    ) -> None:
        self._teacher, self._batch, self._hook_points, self.logits_at = teacher, batch, hook_points, logits_at
        self._query, self._memory = query, memory
        self._runs = None if memory is None else CachedForwards(teacher, memory, batch, logits_at)
        # Hook points are kept for counterfactuals, which such a memory holds itself.
        self._kept_hook_points = () if memory is not None and memory.counterfactuals else hook_points
        self._run: ForwardOutput | None = None
        self._answer: Mapping[str, Tensor] | None = None

    def run(self) -> ForwardOutput:
        """The teacher's run, without a graph; the answer to the query comes from the same forward."""
        if self._run is None:
            remembered = self._query is None or self._remembered()
            known = self._runs.run(self._kept_hook_points) if self._runs is not None and remembered else None
            self._run = known or self._fresh(with_answer=not remembered)
        return self._run

    def predictions(self) -> ForwardOutput | CachedPredictions:
        """The run, or only its predictions if they are in the memory."""
        if self._run is None and self._runs is not None:
            known = self._runs.predictions()
            if known is not None:
                return known
        return self.run()

    def counterfactual(
        self,
        about: str,
        batch: Batch,
        depends_on: Callable[[], Tensor],
        logits_at: Int[Tensor, " item"] | None,
        make: Callable[[], ForwardOutput],
    ) -> ForwardOutput:
        """The teacher's output after an interchange, from the memory or from a run.

        Args:
            about: The identity of the interchange.
            batch: The rows that are intervened on.
            depends_on: Gives what the output depends on besides these rows, sources and positions; called only if
                outputs are remembered, since it waits for the device.
            logits_at: The positions where a per-token head predicts.
            make: Runs the interchange.

        Raises:
            ValueError: It is not in the memory, and there is no teacher to run it.
        """
        memory = self._memory
        if memory is None or not memory.counterfactuals:
            return make()
        runs = CachedForwards(self._teacher, memory, batch, logits_at, f"{about}: ", depends_on())
        known = runs.run(())
        if known is not None:
            return known
        self._check_there_is_a_teacher(f"its output after the interchange {about}")
        if any(hook_point not in self.run().activations for hook_point in self._hook_points):  # it was remembered
            self._run = self._without_answer()
        made = make()
        runs.keep(made, ())
        return made

    def of_rows(self, batch: Batch, logits_at: Int[Tensor, " item"] | None) -> ForwardOutput:
        """The teacher's run of other rows of the same step."""
        return TeacherOutputs(self._teacher, batch, (), logits_at, memory=self._memory).run()

    def answer_of_rows(self, query: TeacherQuery, batch: Batch) -> Mapping[str, Tensor]:
        """The answer for other rows of the same step."""
        at = predicting_at(self._teacher.task, batch, "labelled")
        return TeacherOutputs(self._teacher, batch, (), at, query, self._memory).answer(query)

    def answer(self, query: TeacherQuery) -> Mapping[str, Tensor]:
        """The answer to the query that was announced as `query`."""
        if query != self._query:
            raise ValueError(f"{query} was not announced in the objective's `requirements`; it was {self._query}")
        if not self._remembered():
            self.run()
        assert self._answer is not None
        return self._answer

    def _remembered(self) -> bool:
        if self._answer is None and self._query is not None and self._memory is not None:
            depends_on = self._query.depends_on(self._teacher.task, self._batch)
            self._answer = self._memory.recall(self._query.key, self._batch, depends_on)
        return self._answer is not None

    def _check_there_is_a_teacher(self, what: str) -> None:
        if self._memory is not None and self._memory.is_all:
            raise ValueError(
                f"the precomputed outputs of the teacher lack {what} for rows of this batch: they were made for other "
                "data, seeds, steps, batches or objectives; call `causalkd precompute` with this recipe again"
            )

    def _fresh(self, with_answer: bool) -> ForwardOutput:
        self._check_there_is_a_teacher("its attributions" if with_answer else "its predictions or hidden states")
        run = self._with_answer() if with_answer else self._without_answer()
        if self._runs is not None:
            self._runs.keep(run, self._kept_hook_points)
        return run

    def _without_answer(self) -> ForwardOutput:
        return self._teacher.run(self._batch.inputs, self._hook_points, logits_at=self.logits_at)

    def _with_answer(self) -> ForwardOutput:
        assert self._query is not None
        teacher, batch = self._teacher, self._batch
        run = run_from(teacher, batch.inputs, self._query.hook_point, self._hook_points, self.logits_at)
        self._answer = self._query.of(teacher, run, batch)
        if self._memory is not None:
            self._memory.keep(self._query.key, batch, self._answer, self._query.depends_on(teacher.task, batch))
        kept = {hook_point: run.activations[hook_point].detach() for hook_point in self._hook_points}
        return replace(run, predicted=run.predicted.detach(), hidden=run.hidden.detach(), activations=kept)
