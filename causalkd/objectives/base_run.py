"""BaseRun: what every objective may look at; and what an objective is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causalkd.data.batch import Batch
from causalkd.data.counted import TOKEN_TASKS, counted_tokens, flat_positions
from causalkd.models.hooked import HookedModel
from causalkd.models.places import Place
from causalkd.models.run import Run
from causalkd.objectives.window import Window
from causalkd.task_kinds import Task

Logits = Literal["none", "labelled", "all"]
_MOST_FIRST: tuple[Logits, ...] = ("all", "labelled", "none")


class Kept(NamedTuple):
    """What an objective needs of the base runs: places whose activations they keep, and tokens they predict at."""

    teacher: tuple[Place, ...] = ()
    student: tuple[Place, ...] = ()
    logits: Logits = "all"
    """At which real tokens a per-token head must predict, in base and counterfactual runs."""
    over_window: bool = False
    """Whether its term is a mean over all of `BaseRun.window` already, and not over its batch."""

    def logits_at(self, task: Task, batch: Batch) -> Int[Tensor, " item"] | None:
        """The flat positions at which a per-token head must predict; None for other heads."""
        if task not in TOKEN_TASKS:
            return None
        if self.logits == "none":
            return torch.zeros(0, dtype=torch.long, device=batch.counted.device)
        counted = counted_tokens(task, batch, self.logits)
        assert counted is not None
        return flat_positions(counted)

    def amount(self, task: Task, batch: Batch) -> Int[Tensor, ""]:
        """How many things a mean over the batch is of: its predictions, or without these its real tokens."""
        if self.logits == "none":
            return batch.counted.sum()
        counted = counted_tokens(task, batch, self.logits)
        return (batch.counted.any(1) if counted is None else counted).sum()


@dataclass(frozen=True, eq=False)
class BaseRun:
    """Both models' runs of the base inputs, made once and shared by all objectives of a step.

    Attributes:
        student: The model being trained.
        batch: Base rows, labels, sources and positions.
        student_run: The student's run, in its graph.
        teacher: The frozen model; None when a model is trained on its task alone.
        teacher_run: The teacher's run, without a graph.
        step: Optimizer steps done so far.
        shared: What one objective worked out and another can use, by key; empty when a step begins.
        window: What else the optimizer step learns from; None where this batch is all.
    """

    student: HookedModel
    batch: Batch
    student_run: Run
    teacher: HookedModel | None = None
    teacher_run: Run | None = None
    step: int = 0
    shared: dict[Any, Any] = field(default_factory=dict)
    window: Window | None = None

    def taught(self) -> tuple[HookedModel, Run]:
        """The teacher and its run.

        Raises:
            ValueError: There is no teacher.
        """
        if self.teacher is None or self.teacher_run is None:
            raise ValueError("this objective compares with a teacher, and there is none; only `task` works without")
        return self.teacher, self.teacher_run


class Objective(Protocol):
    """One method of distillation: which forwards, which loss."""

    def places(self) -> Kept:
        """What the base runs must keep for it."""
        ...

    def __call__(self, run: BaseRun) -> Float[Tensor, ""]:
        """The unweighted term, a mean over what counts."""
        ...


class Weighted(NamedTuple):
    """An objective and its factor in the sum."""

    weight: float
    objective: Objective


def places_of(objectives: Mapping[str, Weighted]) -> Kept:
    """Everything the base runs must keep for a set of objectives."""
    kept = [weighted.objective.places() for weighted in objectives.values()]
    return Kept(
        tuple(dict.fromkeys(place for each in kept for place in each.teacher)),
        tuple(dict.fromkeys(place for each in kept for place in each.student)),
        _MOST_FIRST[min(_MOST_FIRST.index(each.logits) for each in kept)],
    )
