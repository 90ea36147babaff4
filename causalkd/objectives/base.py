"""StepContext, which every objective receives at a step; and the definition and requirements of an objective."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causalkd.data.batch import Batch, Inputs
from causalkd.data.positions import Positions
from causalkd.data.token_mask import TOKEN_TASKS, counted_tokens, predicting_at
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.cached_predictions import CachedPredictions
from causalkd.objectives.interchange_digest import interchange_digest
from causalkd.objectives.micro_batches import MicroBatches
from causalkd.objectives.teacher_outputs import TeacherOutputs, TeacherQuery
from causalkd.task_types import Task

Logits = Literal["none", "labelled", "all"]
_MOST_FIRST: tuple[Logits, ...] = ("all", "labelled", "none")


class TrainingSetup(NamedTuple):
    """Facts about the training setup by which an objective decides whether it can be trained."""

    micro_batches: int = 1
    """Micro-batches of one optimizer step, over all processes."""
    cache_top_k: int | None = None
    """The number of logits of a prediction that a teacher cache keeps; None if it keeps all or there is none."""
    written: bool = False
    """Whether the student, perhaps together with the teacher, writes the sequences that are learned from."""
    two_tokenizers: bool = False
    """Whether each model reads its own tokens of the texts."""


def _accept(setup: TrainingSetup) -> str | None:
    return None


class Requirements(NamedTuple):
    """The needs of an objective: hook points that the base runs keep, tokens they predict at, and more."""

    teacher: tuple[HookPoint, ...] = ()
    student: tuple[HookPoint, ...] = ()
    logits: Logits = "all"
    """The real tokens at which a per-token head must predict, in base and counterfactual runs."""
    over_micro_batches: bool = False
    """Whether its term is already a mean over all of `StepContext.micro_batches`, and not over its batch."""
    second_order: bool = False
    """Whether its term holds gradients of the student, which then is differentiated twice, with eager attention."""
    teacher_query: TeacherQuery | None = None
    """A further result that it needs from the teacher's base run and that needs the run's graph, such as attributions;
    None for none."""
    refusal: Callable[[TrainingSetup], str | None] = _accept
    """Why it cannot be trained in a setup, and what to change; None if it can."""
    same_tokens: bool = True
    """Whether the teacher must read the student's own tokens, or both the same texts and predict over labels."""
    two_tokenizers: bool = False
    """Whether it compares predictions alone, and so is right if each model reads its own tokens of the texts."""
    count: Callable[[Task, Batch], Int[Tensor, ""]] | None = None
    """The number of items of a batch that its term is a mean of; None for all predictions that `logits` names, or else
    all real tokens."""

    def logits_at(self, task: Task, batch: Batch) -> Int[Tensor, " item"] | None:
        """The flat positions at which a per-token head must predict; None for other heads."""
        if task not in TOKEN_TASKS:
            return None
        if self.logits == "none":
            return torch.zeros(0, dtype=torch.long, device=batch.counted.device)
        return predicting_at(task, batch, self.logits)

    def amount(self, task: Task, batch: Batch) -> Int[Tensor, ""]:
        """The number of items of the batch that its term is a mean of."""
        if self.count is not None:
            return self.count(task, batch)
        if self.logits == "none":
            return batch.counted.sum()
        counted = counted_tokens(task, batch, self.logits)
        return (batch.counted.any(1) if counted is None else counted).sum()


@dataclass(frozen=True, eq=False)
class StepContext:
    """Both models' runs of the base inputs, computed once and shared by all objectives of a step.

    Attributes:
        student: The model being trained.
        batch: Base rows, labels, sources and positions, as the student reads them.
        student_run: The student's run, in its graph.
        teacher: The frozen model; None when a model is trained on its task alone.
        teacher_run: The teacher's run, without a graph; or the teacher before the batch, which runs on first use.
        step: Optimizer steps done so far.
        epoch: Epochs done so far.
        epochs: Epochs of the whole training.
        shared: Results of one objective that another can use, by key; empty when a step starts.
        micro_batches: The other batches of the optimizer step; None if this batch is the only one.
        logits: The real tokens at which heads must predict in runs of other rows than base, such as crossed ones.
        read_by_teacher: The same batch as the teacher reads it, if it has another tokenizer.
    """

    student: HookedModel
    batch: Batch
    student_run: ForwardOutput
    teacher: HookedModel | None = None
    teacher_run: ForwardOutput | TeacherOutputs | None = None
    step: int = 0
    epoch: int = 0
    epochs: int = 1
    shared: dict[Any, Any] = field(default_factory=dict)
    micro_batches: MicroBatches | None = None
    logits: Logits = "all"
    read_by_teacher: Batch | None = None

    @property
    def teacher_batch(self) -> Batch:
        """The batch as the teacher reads it."""
        return self.batch if self.read_by_teacher is None else self.read_by_teacher

    def teacher_outputs(self) -> tuple[HookedModel, ForwardOutput]:
        """The teacher and its run.

        Raises:
            ValueError: There is no teacher.
        """
        if self.teacher is None or self.teacher_run is None:
            raise ValueError(
                "this objective compares with a teacher, and there is none; give the training a teacher, or leave this "
                "objective out"
            )
        given = self.teacher_run
        return self.teacher, given.run() if isinstance(given, TeacherOutputs) else given

    def predicted(self) -> ForwardOutput | CachedPredictions:
        """The teacher's run, or its logits of an earlier epoch without a forward pass."""
        return (
            self.teacher_run.predictions()
            if isinstance(self.teacher_run, TeacherOutputs)
            else self.teacher_outputs()[1]
        )

    def teacher_on(self, batch: Batch, logits_at: Tensor | None) -> ForwardOutput:
        """The teacher's run of other rows of the same step.

        Raises:
            ValueError: There is no teacher.
        """
        if isinstance(self.teacher_run, TeacherOutputs):
            return self.teacher_run.of_rows(batch, logits_at)
        teacher, _ = self.teacher_outputs()
        return teacher.run(batch.inputs, logits_at=logits_at)

    def teacher_counterfactual(
        self,
        about: str,
        base: Batch,
        source: Inputs,
        positions: Positions,
        logits_at: Tensor | None,
        make: Callable[[], ForwardOutput],
    ) -> ForwardOutput:
        """The teacher's output on `base` after an interchange; `make` runs it if it is not known already."""
        given = self.teacher_run
        if not isinstance(given, TeacherOutputs):
            return make()
        return given.counterfactual(about, base, partial(interchange_digest, source, positions), logits_at, make)

    def teacher_answer(self, query: TeacherQuery, batch: Batch | None = None) -> Mapping[str, Tensor]:
        """The answer to a query of the teacher's run: that of base, or of other rows of the same optimizer step.

        Raises:
            ValueError: There is no teacher or only a finished run of it, or the objective did not announce the query in
                its `requirements`.
        """
        if not isinstance(self.teacher_run, TeacherOutputs):
            given = "no teacher" if self.teacher_run is None else "a finished run of it"
            raise ValueError(
                f"this objective asks more of a teacher than its predictions, and the step has {given}; give "
                "`teacher_run=TeacherOutputs(teacher, batch, query=objective.requirements().teacher_query)`"
            )
        return self.teacher_run.answer(query) if batch is None else self.teacher_run.answer_of_rows(query, batch)


class Objective(Protocol):
    """One method of distillation: which forward passes it runs, which loss it computes."""

    def requirements(self) -> Requirements:
        """The outputs that the base runs must keep for it."""
        ...

    def __call__(self, run: StepContext) -> Float[Tensor, ""]:
        """The unweighted term, a mean over what counts."""
        ...


class Weighted(NamedTuple):
    """An objective and its weight in the sum."""

    weight: float
    objective: Objective


def hook_points_of(objectives: Mapping[str, Weighted]) -> Requirements:
    """The union of the requirements of a set of objectives.

    Raises:
        ValueError: They have different queries of the teacher's run.
    """
    kept = [weighted.objective.requirements() for weighted in objectives.values()]
    queries = list(dict.fromkeys(each.teacher_query for each in kept if each.teacher_query is not None))
    if len(queries) > 1:
        raise ValueError(
            f"the objectives ask {len(queries)} different things of one run of the teacher; give them equal settings"
        )
    return Requirements(
        tuple(dict.fromkeys(hook_point for each in kept for hook_point in each.teacher)),
        tuple(dict.fromkeys(hook_point for each in kept for hook_point in each.student)),
        _MOST_FIRST[min(_MOST_FIRST.index(each.logits) for each in kept)],
        second_order=any(each.second_order for each in kept),
        teacher_query=queries[0] if queries else None,
        same_tokens=any(each.same_tokens for each in kept),
    )
