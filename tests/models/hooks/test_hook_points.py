"""The names of places, and the nearest of them."""

from causalkd.errors import nearest
from causalkd.models.hooks.hook_points import COMPONENTS, HookPoint


def test_depth_is_the_order_of_a_forward() -> None:
    hook_points = [
        HookPoint(f"{component}.{layer}", component, layer, "", "output", 1)
        for layer in (0, 1)
        for component in COMPONENTS
        if component != "token_embedding" or not layer
    ]
    assert sorted(reversed(hook_points), key=lambda hook_point: hook_point.depth) == hook_points


def test_nearest() -> None:
    assert nearest("block_ouput", list(COMPONENTS)) == "did you mean block_output?"
    assert nearest("xyz", ["a", "b"]) == "choose one of a, b"
