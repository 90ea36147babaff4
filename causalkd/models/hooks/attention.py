"""The attention implementation of a model, switched only for the passes that need another one."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from causalkd.models.hooks.compile_guard import refuse_compiled_blocks
from causalkd.models.hooks.gradient_checkpointing import in_every_forward, is_repeated
from causalkd.models.hooks.hooked_model import HookedModel


def attention_of(model: HookedModel) -> str:
    """The attention implementation in use, by transformers' name, e.g. `sdpa`."""
    return str(model.model.config._attn_implementation)


@contextmanager
def twice_differentiable(model: HookedModel) -> Iterator[None]:
    """Forward passes inside use eager attention: scaled-dot-product attention has no second derivative.

    Only the forward must be inside: a graph that was built with eager attention keeps it, and checkpointed blocks come
    back to it when backward repeats them.

    Raises:
        ValueError: A block has no second derivative: it is compiled, or checkpointed reentrantly.
    """
    refuse_compiled_blocks(model.model, model.blocks)
    with ExitStack() as stack:
        for block in model.blocks:
            if is_repeated(block):
                stack.enter_context(in_every_forward(block, partial(_eager, model)))
        stack.enter_context(_eager(model))
        yield


@contextmanager
def _eager(model: HookedModel) -> Iterator[None]:
    before = attention_of(model)
    if before == "eager":
        yield
        return
    model.model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.model.set_attn_implementation(before)
