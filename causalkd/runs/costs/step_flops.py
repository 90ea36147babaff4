"""The floating-point operations of a step of a student's training, by its objectives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from causalkd.alignment.interchange import hook_points_needed, read_hook_points
from causalkd.alignment.resolve import ResolvedAlignment, ResolvedPair
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.objectives import OBJECTIVES, ADKDPart, DIITOHiddenPart, DIITOPart, ObjectivesPart
from causalkd.registries import imported
from causalkd.training.flops import ForwardCost, Number, Shape


@dataclass(frozen=True)
class Step:
    """The inputs of a cost estimate of a micro-batch.

    Attributes:
        teacher: The teacher.
        student: The student.
        alignment: The alignment, resolved for both models.
        shape: The size of a micro-batch: rows, tokens per row, and predicted tokens.
        sources: Where sources come from: other rows of the `batch`, or the `dataset`.
        teacher_share: The share of the steps in which the teacher runs on base; in the others its outputs are cached.
        is_precomputed: Whether the teacher never runs, not even for interchanges.
    """

    teacher: HookedModel
    student: HookedModel
    alignment: ResolvedAlignment
    shape: Shape
    sources: str = "batch"
    teacher_share: float = 1.0
    is_precomputed: bool = False


def step_flops(objectives: ObjectivesPart, step: Step) -> Number:
    """Operations of a micro-batch: forwards of both models, those that the objectives add, and the backward pass."""
    total = 3 * ForwardCost(step.student).forward(step.shape)
    total += step.teacher_share * ForwardCost(step.teacher).forward(step.shape) if compares(objectives) else 0.0
    return total + added(objectives, step, "cost")


def added(objectives: ObjectivesPart, step: Step, column: Literal["cost", "held"]) -> Number:
    """The operations or the memory that objectives add, by a column of their table; see `ObjectiveEntry`.

    Objectives with the same entry in that column share their passes, so only the first one's settings count.
    """
    parts = {getattr(OBJECTIVES[name], column): part for name, part in reversed(objectives.chosen().items())}
    return sum(imported(adds)(part, step) for adds, part in parts.items() if adds is not None)


def interchange_cost(part: DIITOPart | DIITOHiddenPart, step: Step) -> Number:
    """Operations of the interchange interventions on both models, and of the backward pass through the student's."""
    each = [_interchange(pair, step, part.crossway) for pair in step.alignment.pairs]
    return sum(each) if part.pairs == "all" else sum(each) / len(each)


def _interchange(pair: ResolvedPair, step: Step, crossway: bool) -> Number:
    total, shape, sources = 0.0, step.shape, step.sources
    teacher, student = (step.teacher, pair.teacher, False), (step.student, pair.student, True)
    for model, sites, learns in (student,) if step.is_precomputed else (teacher, student):
        cost = ForwardCost(model)
        first = first_block(hook_points_needed(model, sites))
        after, before = cost.blocks(shape, model.n_layers - first) + cost.head(shape), cost.blocks(shape, first)
        read = 0.0
        if sources == "dataset":
            read = cost.blocks(shape, max(first_block([point]) for point in read_hook_points(sites)))
        times = 3 if learns else 1
        total += times * (after + read)
        if crossway and sources == "batch":
            total += times * after
        elif crossway:  # gradients flow through the source's own run only before the site
            total += cost.forward(shape) + after + (2 * (before + after) if learns else 0.0)
    return total


def first_block(hook_points: Sequence[HookPoint]) -> int:
    """The index of the first block that runs after the earliest of these hook points; the block itself, if the hook
    point lies inside it.
    """
    first = min(hook_points, key=lambda point: point.depth)
    return first.layer + (first.component == "block_output")


def maps_cost(part: ADKDPart, step: Step) -> Number:
    """Operations of both models' attribution maps.

    A map of K views takes K − 1 backward passes to the hook point, without gradients of weights; the student's are
    differentiated. Each further step of the path is another forward with its backward passes, which the student runs
    twice. A backward pass to the hook point costs one forward, and differentiating it costs two more.
    """
    views = passes_of_map(part, step)
    further = part.steps - 1
    teacher, student = ForwardCost(step.teacher).forward(step.shape), ForwardCost(step.student).forward(step.shape)
    teacher *= step.teacher_share
    return teacher * (views + further * (1 + views)) + student * (3 * views + further * (4 + 4 * views))


def passes_of_map(part: ADKDPart, step: Step) -> int:
    """The backward passes to the hook point that a map of these settings takes at each step of its path."""
    classes = step.student.model.config.num_labels or 1
    return part.views if isinstance(part.views, int) else max(1, classes - 1) if part.views == "all" else 1


def compares(objectives: ObjectivesPart) -> bool:
    """Whether some objective compares the student with the teacher."""
    return any(OBJECTIVES[name].reads_teacher for name in objectives.chosen())
