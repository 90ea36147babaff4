"""How many floating-point operations a step of a student's training costs, by its objectives."""

from collections.abc import Sequence

from causalkd.alignment.interchange import hook_points_needed, read_hook_points
from causalkd.alignment.resolve import ResolvedAlignment, ResolvedPair
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.objectives import ADKDPart, ObjectivesPart
from causalkd.training.flops import ForwardCost, Number, Shape


def step_flops(
    objectives: ObjectivesPart,
    teacher: HookedModel,
    student: HookedModel,
    alignment: ResolvedAlignment,
    shape: Shape,
    sources: str = "batch",
) -> Number:
    """Operations of a micro-batch: forwards of both models, what the objectives add, and the backward pass."""
    taught, learnt = ForwardCost(teacher), ForwardCost(student)
    total = 3 * learnt.forward(shape) + (taught.forward(shape) if compares(objectives) else 0.0)
    # DIITO's two objectives share what they run.
    chosen = objectives.chosen()
    interchanging = chosen.get("diito") or chosen.get("diito_hidden")
    if interchanging is not None:
        each = [
            _interchange(pair, teacher, student, shape, sources, interchanging.crossway) for pair in alignment.pairs
        ]
        total += sum(each) if interchanging.pairs == "all" else sum(each) / len(each)
    if "adkd" in chosen:
        total += _maps(chosen["adkd"], teacher, student, shape)
    return total


def _interchange(
    pair: ResolvedPair, teacher: HookedModel, student: HookedModel, shape: Shape, sources: str, crossway: bool
) -> Number:
    total = 0.0
    for model, sites, learns in ((teacher, pair.teacher, False), (student, pair.student, True)):
        cost = ForwardCost(model)
        first = _first_block(hook_points_needed(model, sites))
        after, before = cost.blocks(shape, model.n_layers - first) + cost.head(shape), cost.blocks(shape, first)
        read = 0.0
        if sources == "dataset":
            read = cost.blocks(shape, max(_first_block([point]) for point in read_hook_points(sites)))
        times = 3 if learns else 1
        total += times * (after + read)
        if crossway and sources == "batch":
            total += times * after
        elif crossway:  # of the source's own run only what comes before the site is learned through
            total += cost.forward(shape) + after + (2 * (before + after) if learns else 0.0)
    return total


def _first_block(hook_points: Sequence[HookPoint]) -> int:
    """The first block that follows the first of some places."""
    first = min(hook_points, key=lambda point: point.depth)
    return first.layer + (first.component == "block_output")


def _maps(part: ADKDPart, teacher: HookedModel, student: HookedModel, shape: Shape) -> Number:
    """A map of K views takes K − 1 backward passes to the entry, without gradients of weights; a student's are
    differentiated.

    Each further step of the path is a forward with its passes anew, which the student runs twice. A backward pass to
    the entry costs a forward, and to differentiate it costs two more, as of a forward.
    """
    classes = student.model.config.num_labels or 1
    views = part.views if isinstance(part.views, int) else max(1, classes - 1) if part.views == "all" else 1
    further = part.steps - 1
    taught, once = ForwardCost(teacher).forward(shape), ForwardCost(student).forward(shape)
    return taught * (views + further * (1 + views)) + once * (3 * views + further * (4 + 4 * views))


def compares(objectives: ObjectivesPart) -> bool:
    """Whether some objective looks at the teacher."""
    return set(objectives.chosen()) != {"task"}
