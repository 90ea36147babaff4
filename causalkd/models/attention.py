"""Which attention a model computes with, switched for exactly the passes that need another."""

from collections.abc import Iterator
from contextlib import contextmanager

from causalkd.models.hooked import HookedModel


def attention_of(model: HookedModel) -> str:
    """The attention implementation in use, by transformers' name, e.g. `sdpa`."""
    return str(model.model.config._attn_implementation)


@contextmanager
def twice_differentiable(model: HookedModel) -> Iterator[None]:
    """Forwards inside use eager attention: scaled-dot-product attention has no second derivative.

    Only the forward must be inside; a graph that was built with eager attention keeps it.
    """
    before = attention_of(model)
    model.model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.model.set_attn_implementation(before)
