"""The names of hook points, and the nearest of them."""

from causalkd.errors import nearest
from causalkd.models.hooks.hook_points import COMPONENTS, HookPoint, absent


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


def test_where_a_component_is_instead() -> None:
    hook_points = [HookPoint(f"a.{layer}", "attention_output", layer, "", "output", 1) for layer in (1, 3)]
    hook_points += [HookPoint(f"b.{layer}", "block_output", layer, "", "output", 1) for layer in range(4)]
    assert absent("attention_output", 0, "Toy", hook_points) == (
        "attention_output of layer 0 does not exist; Toy has attention_output in layers 1, 3"
    )
    assert absent("block_output", 7, "Toy", hook_points).endswith("Toy has block_output in layers 0–3")
    assert absent("mlp_output", 0, "Toy", hook_points) == (
        "Toy has no mlp_output in any layer; it has attention_output, block_output"
    )
