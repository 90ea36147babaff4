"""The names that a site may have: pyvene's components, and TransformerLens' hook names as synonyms."""

import re
from typing import NamedTuple

from causalkd.errors import nearest
from causalkd.models.hooks.hook_points import COMPONENTS

# Names that pyvene has and that are not supported here: an alignment keeps them, `resolve` refuses them.
CARRIED_COMPONENTS: tuple[str, ...] = (
    *("mlp_input", "mlp_activation", "attention_input", "attention_weight"),
    *("query_output", "key_output", "value_output"),
    *("head_query_output", "head_key_output", "head_value_output"),
)

# TransformerLens' names inside a block, current ones first. `hook_attn_out` and `hook_mlp_out` are what is added to the
# residual.
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
    "hook_attn_out": "attention_output",
    "hook_mlp_out": "mlp_output",
}


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
    valid = list(COMPONENTS)
    if "." in component:
        number = re.search(r"\d+", component)
        valid = ["embed.hook_out", *(f"blocks.{number[0] if number else 0}.{hook}" for hook in _HOOKS)]
    return f"{component!r} is not a component; {nearest(component, valid)}"
