"""Start a forward pass at a hook point, so that what comes before is not computed again."""

from collections.abc import Iterator
from contextlib import contextmanager

from jaxtyping import Float
from torch import Tensor

from causalkd.models.hooks.hook_names import named_hook_points
from causalkd.models.hooks.hook_points import BOUNDARIES, HookPoint
from causalkd.models.hooks.hooked_model import HookedModel


def hook_point_of(model: HookedModel, given: HookPoint | str | None) -> HookPoint:
    """The hook point of a TransformerLens name or a synonym; None means the first block's input, the embedding output.

    Raises:
        ValueError: The model has no such hook point.
    """
    if given is None:
        return model.hook_point("block_input", 0)
    name = given if isinstance(given, str) else given.name
    return named_hook_points([name], model.hook_points(), model.architecture)[name]


def resume_hook_point(model: HookedModel, hook_point: HookPoint) -> HookPoint | None:
    """The last block boundary at or before a hook point; None if it comes before every block."""
    if hook_point.component == "token_embedding":
        return None
    return hook_point if hook_point.component in BOUNDARIES else model.hook_point("block_input", hook_point.layer)


def entry_hook_points(model: HookedModel, hook_point: HookPoint) -> tuple[HookPoint, ...]:
    """The hook points whose activations `entered` needs, the given one first."""
    boundary = resume_hook_point(model, hook_point)
    return (hook_point,) if boundary in (None, hook_point) else (hook_point, boundary)


@contextmanager
def entered(
    model: HookedModel,
    hook_point: HookPoint,
    hidden: Float[Tensor, "batch pos width"],
    boundary: Float[Tensor, "batch pos boundary_width"] | None = None,
) -> Iterator[None]:
    """Forward passes have these hidden states at the hook point, and the blocks before it are not run.

    Args:
        model: The model.
        hook_point: The hook point where the forward pass starts.
        hidden: The hidden states there.
        boundary: For a hook point inside a block, the input of that block, whose residual stream bypasses the hook
            point.
    """
    resume = resume_hook_point(model, hook_point)
    if resume is None:
        with model.hooks([(hook_point, lambda _: hidden)]):
            yield
    elif resume == hook_point:
        with model.resumed(hook_point.layer + (hook_point.component == "block_output"), hidden):
            yield
    else:
        assert boundary is not None
        with model.resumed(hook_point.layer, boundary), model.hooks([(hook_point, lambda _: hidden)]):
            yield
