"""How many floating-point operations a step of a student's training costs, by its objectives."""

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
    """What a micro-batch is computed with: both models, the alignment, the batch's shape, where sources come from.

    Attributes:
        taught: The share of the steps in which the teacher runs on base; in the others its outputs are remembered.
        is_precomputed: Whether it never runs, not even for interchanges.
    """

    teacher: HookedModel
    student: HookedModel
    alignment: ResolvedAlignment
    shape: Shape
    sources: str = "batch"
    taught: float = 1.0
    is_precomputed: bool = False


def step_flops(objectives: ObjectivesPart, step: Step) -> Number:
    """Operations of a micro-batch: forwards of both models, what the objectives add, and the backward pass."""
    total = 3 * ForwardCost(step.student).forward(step.shape)
    total += step.taught * ForwardCost(step.teacher).forward(step.shape) if compares(objectives) else 0.0
    return total + added(objectives, step, "cost")


def added(objectives: ObjectivesPart, step: Step, column: Literal["cost", "held"]) -> Number:
    """What objectives add, by a column of their table; see `ObjectiveEntry`.

    Objectives with the same entry there share what they run, so the first one's settings stand for all.
    """
    parts = {getattr(OBJECTIVES[name], column): part for name, part in reversed(objectives.chosen().items())}
    return sum(imported(adds)(part, step) for adds, part in parts.items() if adds is not None)


def interchange_cost(part: DIITOPart | DIITOHiddenPart, step: Step) -> Number:
    """Operations of the interchange interventions on both models, and of what is learned through them."""
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
        elif crossway:  # of the source's own run only what comes before the site is learned through
            total += cost.forward(shape) + after + (2 * (before + after) if learns else 0.0)
    return total


def first_block(hook_points: Sequence[HookPoint]) -> int:
    """The first block that follows the first of some places."""
    first = min(hook_points, key=lambda point: point.depth)
    return first.layer + (first.component == "block_output")


def maps_cost(part: ADKDPart, step: Step) -> Number:
    """Operations of both models' attribution maps.

    A map of K views takes K − 1 backward passes to the entry, without gradients of weights; a student's are
    differentiated. Each further step of the path is a forward with its passes anew, which the student runs twice. A
    backward pass to the entry costs a forward, and to differentiate it costs two more, as of a forward.
    """
    views = passes_of_map(part, step)
    further = part.steps - 1
    taught, once = ForwardCost(step.teacher).forward(step.shape), ForwardCost(step.student).forward(step.shape)
    taught *= step.taught
    return taught * (views + further * (1 + views)) + once * (3 * views + further * (4 + 4 * views))


def passes_of_map(part: ADKDPart, step: Step) -> int:
    """The backward passes to the entry that a map of these settings takes at each step of its path."""
    classes = step.student.model.config.num_labels or 1
    return part.views if isinstance(part.views, int) else max(1, classes - 1) if part.views == "all" else 1


def compares(objectives: ObjectivesPart) -> bool:
    """Whether some objective looks at the teacher."""
    return any(OBJECTIVES[name].reads_teacher for name in objectives.chosen())
