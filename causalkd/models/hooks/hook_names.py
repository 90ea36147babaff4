"""The names that a site may have: pyvene's components, and TransformerLens' hook names as synonyms."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from causalkd.errors import nearest
from causalkd.models.hooks.hook_points import COMPONENTS, HookPoint

# Names that pyvene has and that are not supported here: an alignment keeps them, `resolve` refuses them.
CARRIED_COMPONENTS: tuple[str, ...] = (
    *("mlp_input", "mlp_activation", "attention_input", "attention_weight"),
    *("query_output", "key_output", "value_output"),
    *("head_query_output", "head_key_output", "head_value_output"),
)

# TransformerLens' names inside a block, current ones first.
_HOOKS: dict[str, str] = {
    "hook_in": "block_input",
    "hook_out": "block_output",
    "attn.o.hook_in": "attention_value_output",
    "attn.o.hook_out": "attention_output",
    "mlp.out.hook_out": "mlp_output",
    "mlp.hook_out": "mlp_output",
    "hook_resid_pre": "block_input",
    "hook_resid_post": "block_output",
    "attn.hook_z": "attention_value_output",
    "hook_z": "attention_value_output",
}
# TransformerLens has these names at another tensor where a norm follows the sublayer (Gemma 2, OLMo 2) and in BERT.
_ELSEWHERE: dict[str, str] = {"hook_attn_out": "attn.o.hook_out", "hook_mlp_out": "mlp.out.hook_out"}


class Hook(NamedTuple):
    """The meaning of a TransformerLens hook name."""

    layer: int
    component: str


def read_hook_name(name: str, unit: object = "pos") -> Hook | None:
    """The layer and component of a hook name; None where it names no hook point.

    With unit `h.pos`, the input of the attention's last linear map is `head_attention_value_output`.
    """
    if name == "embed.hook_out":
        return Hook(0, "token_embedding")
    parts = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
    if parts is None or parts[2] not in _HOOKS:
        return None
    component = _HOOKS[parts[2]]
    if unit == "h.pos" and component == "attention_value_output":
        component = "head_attention_value_output"
    return Hook(int(parts[1]), component)


def component_fault(component: str, layer: int | None) -> str | None:
    """The fault of a component name beside a layer, with the nearest valid name; None where there is none."""
    if component in COMPONENTS or component in CARRIED_COMPONENTS:
        return None
    hook = read_hook_name(component)
    if hook is not None:
        return f"{component!r} is in layer {hook.layer}, but layer {layer} is given as well; give one of them"
    if (other := _elsewhere(component)) is not None:
        return other
    valid = list(COMPONENTS)
    if "." in component:
        number = re.search(r"\d+", component)
        valid = ["embed.hook_out", *(f"blocks.{number[0] if number else 0}.{hook}" for hook in _HOOKS)]
    return f"{component!r} is not a component; {nearest(component, valid)}"


def named_hook_points(
    names: Iterable[str], hook_points: Iterable[HookPoint], architecture: str
) -> dict[str, HookPoint]:
    """The hook points of some names, by the name that was given: a hook point's own, or a synonym of it.

    Args:
        names: The names.
        hook_points: The hook points of a model.
        architecture: What the model is called in messages.

    Raises:
        ValueError: Names that no hook point has; one line for each, with the nearest one.
    """
    by_name: dict[str, HookPoint] = {}
    for hook_point in hook_points:
        by_name.setdefault(hook_point.name, hook_point)
    of_hook = {(each.layer, each.component): each for each in by_name.values()}
    found, faults = dict[str, HookPoint](), []
    for name in names:
        hook_point = by_name.get(name) or of_hook.get(read_hook_name(name) or (-1, ""))
        if hook_point is not None:
            found[name] = hook_point
        else:
            unknown = f"{name!r} is not a hook point of {architecture}; {nearest(name, list(by_name))}"
            faults.append(_elsewhere(name) or unknown)
    if faults:
        raise ValueError("\n".join(faults))
    return found


def _elsewhere(name: str) -> str | None:
    """What to say of a name that TransformerLens has at another tensor in some architectures; None of other names."""
    parts = re.fullmatch(r"(blocks\.\d+\.)(hook_\w+)", name)
    if parts is None or parts[2] not in _ELSEWHERE:
        return None
    return (
        f"{name!r} is in TransformerLens what is added to the residual stream, which where a norm follows and in BERT "
        f"is not the output of the last linear map; that is {parts[1]}{_ELSEWHERE[parts[2]]}"
    )
