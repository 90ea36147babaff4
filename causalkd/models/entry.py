"""Entering a forward at a place: what is computed before it is not computed again."""

from collections.abc import Iterator
from contextlib import contextmanager

from jaxtyping import Float
from torch import Tensor

from causalkd.models.hooked import HookedModel
from causalkd.models.places import Place, nearest

# Where one block ends and the next begins: a forward can be resumed there with one tensor.
BOUNDARIES = ("block_input", "block_output")


def place_of(model: HookedModel, given: Place | str | None) -> Place:
    """The place that a TransformerLens name means; None for what enters the first block, the embedding's output.

    Raises:
        ValueError: The model has no such place.
    """
    if given is None:
        return model.place("block_input", 0)
    by_name = {place.name: place for place in model.places()}
    name = given if isinstance(given, str) else given.name
    if name not in by_name:
        raise ValueError(f"{name!r} is no place of {model.architecture}; {nearest(name, list(by_name))}")
    return by_name[name]


def resume_place(model: HookedModel, place: Place) -> Place | None:
    """The last block boundary at or before a place; None where the place comes before every block."""
    if place.component == "token_embedding":
        return None
    return place if place.component in BOUNDARIES else model.place("block_input", place.layer)


def entry_places(model: HookedModel, place: Place) -> tuple[Place, ...]:
    """The places whose activations `entered` needs, the given one first."""
    boundary = resume_place(model, place)
    return (place,) if boundary in (None, place) else (place, boundary)


@contextmanager
def entered(
    model: HookedModel,
    place: Place,
    hidden: Float[Tensor, "batch pos width"],
    boundary: Float[Tensor, "batch pos boundary_width"] | None = None,
) -> Iterator[None]:
    """Forwards have these hidden states at the place, and the blocks before it are not run.

    Args:
        model: The model whose forwards are meant.
        place: Where the forward is entered.
        hidden: What stands there.
        boundary: For a place inside a block, what enters that block: its residual stream passes the place by.
    """
    resume = resume_place(model, place)
    if resume is None:
        with model.hooks([(place, lambda _: hidden)]):
            yield
    elif resume == place:
        with model.resumed(place.layer + (place.component == "block_output"), hidden):
            yield
    else:
        assert boundary is not None
        with model.resumed(place.layer, boundary), model.hooks([(place, lambda _: hidden)]):
            yield
