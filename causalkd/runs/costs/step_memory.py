"""The memory that a student's forward passes hold for the backward pass of a step, by its objectives."""

from causalkd.alignment.interchange import hook_points_needed, read_hook_points
from causalkd.alignment.resolve import ResolvedPair
from causalkd.data.token_mask import TOKEN_TASKS
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.objectives import OBJECTIVES, ADKDPart, DIITOHiddenPart, DIITOPart, ObjectivesPart
from causalkd.runs.costs.step_flops import Step, added, first_block, passes_of_map
from causalkd.training.flops import Number, Shape

_FLOAT = 4  # bytes
_LINEAR, _SQUARE = 34, 5  # bytes per token and unit of width, and per pair of positions and head, in 16 bits


def activations(model: HookedModel, shape: Shape, objectives: ObjectivesPart | None = None) -> Number:
    """Bytes that one forward holds for its backward pass: all layers (Korthikanti et al. 2022, arXiv 2205.05198) and
    the logits. Tensors over the vocabulary that losses hold in addition are not counted.

    Fused attention computes the weights of pairs of positions again in the backward pass. Eager attention, which
    attribution maps need, holds them.
    """
    eager = model.model.config._attn_implementation == "eager" or (objectives is not None and _trains_maps(objectives))
    squares = _SQUARE * model.n_heads * shape.width if eager else 0.0
    inside = shape.tokens * (_LINEAR * model.width + squares)
    predicted = shape.predicted * model.vocabulary if model.task in TOKEN_TASKS else 0.0
    return inside * model.n_layers * _FLOAT / 2 + 2 * _FLOAT * predicted


def _trains_maps(objectives: ObjectivesPart) -> bool:
    return any(OBJECTIVES[name].trains_maps for name in objectives.chosen())


def forwards_held(objectives: ObjectivesPart, step: Step) -> Number:
    """The largest number of student forwards that are held at once: the plain one, and those that objectives add."""
    return 1.0 + added(objectives, step, "held")


def interchange_held(part: DIITOPart | DIITOHiddenPart, step: Step) -> Number:
    """The blocks that run again for the interchange interventions on the student, in units of its forward pass."""
    each = [_of_pair(pair, step, part.crossway) for pair in step.alignment.pairs]
    return sum(each) if part.pairs == "all" else max(each)


def _of_pair(pair: ResolvedPair, step: Step, crossway: bool) -> Number:
    layers = step.student.n_layers
    before = first_block(hook_points_needed(step.student, pair.student))
    after, held = layers - before, layers - before
    if step.sources == "dataset":
        held += max(first_block([point]) for point in read_hook_points(pair.student))
    if crossway:
        held += after if step.sources == "batch" else before + after
    return held / layers


def maps_held(part: ADKDPart, step: Step) -> Number:
    """The passes to the hook point that the student's map is differentiated through, in units of its forward pass.

    All steps of the path but the first are run again in the backward pass, one after the other, so only one of them is
    held at a time.
    """
    return min(part.steps, 2) * (1 + passes_of_map(part, step)) - 1
