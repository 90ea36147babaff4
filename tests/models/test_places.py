"""The names of places, and the nearest of them."""

from causalkd.models.places import COMPONENTS, Place, nearest


def test_depth_is_the_order_of_a_forward() -> None:
    places = [
        Place(f"{component}.{layer}", component, layer, "", "output", 1)
        for layer in (0, 1)
        for component in COMPONENTS
        if component != "token_embedding" or not layer
    ]
    assert sorted(reversed(places), key=lambda place: place.depth) == places


def test_nearest() -> None:
    assert nearest("block_ouput", list(COMPONENTS)) == "did you mean block_output?"
    assert nearest("xyz", ["a", "b"]) == "choose one of a, b"
