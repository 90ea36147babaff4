"""The names that a site may have: pyvene's components, and TransformerLens' hook names as synonyms."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from causalkd.errors import few, nearest
from causalkd.models.hooks.hook_points import ADDED, COMPONENTS, HookPoint

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
BY_ARCHITECTURE: dict[str, str] = {hook: component for component, hook in ADDED.items()}
"""Names that go by architecture: a site keeps them, and a model knows whether they are at one of its hook points."""
# TransformerLens' names of tensors that are at no hook point here, whole or as they follow `blocks.N.`.
_ELSEWHERE = re.compile(
    r"(blocks\.\d+\.)?("
    r"hook_(attn_in|[qkv]_input|mlp_in|resid_mid|pos_embed)|(attn|mlp)\.hook_in|mlp\.out\.hook_in|"
    r"attn\.hook_(q|k|v|rot_q|rot_k|attn_scores|pattern|result)|mlp\.hook_(pre|pre_linear|post)|"
    r"(attn\.[qkv]|mlp\.(in|gate)|(attn|mlp)\.ln|ln\d(_post)?|ln_final|pos_embed|unembed)\.hook_\w+)"
)


class Hook(NamedTuple):
    """The meaning of a TransformerLens hook name."""

    layer: int
    component: str


def read_hook_name(name: str, unit: object = "pos") -> Hook | None:
    """The layer and component of a hook name; None if it names no hook point.

    `hook_attn_out` and `hook_mlp_out`, which go by architecture, are their own component: see `component_of`.
    With unit `h.pos`, the input of the attention's last linear map is `head_attention_value_output`.
    """
    if name == "embed.hook_out":
        return Hook(0, "token_embedding")
    parts = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
    component = None if parts is None else _HOOKS.get(parts[2], parts[2] if parts[2] in BY_ARCHITECTURE else None)
    if parts is None or component is None:
        return None
    if unit == "h.pos" and component == "attention_value_output":
        component = "head_attention_value_output"
    return Hook(int(parts[1]), component)


def nearest_tensor(given: str, valid: Sequence[str] = COMPONENTS) -> str:
    """The valid name nearest to a misspelled one; all of them if it is another tensor of pyvene or TransformerLens."""
    if given in CARRIED_COMPONENTS or _ELSEWHERE.fullmatch(given):
        return f"this tensor is not offered; choose one of {few(valid, 20)}"
    return nearest(given, list(valid))


def component_fault(component: str, layer: int | None) -> str | None:
    """The fault of a component name that is given with a layer, with the nearest valid name; None if it is valid."""
    if component in (*COMPONENTS, *CARRIED_COMPONENTS, *BY_ARCHITECTURE):
        return None
    hook = read_hook_name(component)
    if hook is not None:
        return f"{component!r} is in layer {hook.layer}, but layer {layer} is given as well; give one of them"
    valid = list(COMPONENTS)
    if "." in component:
        number = re.search(r"\d+", component)
        hooks = (*_HOOKS, *BY_ARCHITECTURE)
        valid = ["embed.hook_out", *(f"blocks.{number[0] if number else 0}.{hook}" for hook in hooks)]
    return f"{component!r} is not a component; {nearest_tensor(component, valid)}"


def named_hook_points(
    names: Iterable[str], hook_points: Iterable[HookPoint], architecture: str
) -> dict[str, HookPoint]:
    """The hook points of some names, by the name that was given: a hook point's own, or a synonym of it.

    Args:
        names: The names.
        hook_points: The hook points of a model.
        architecture: The model's name in messages.

    Raises:
        ValueError: Names that no hook point has; one line for each, with the nearest one.
    """
    hook_points = tuple(hook_points)
    by_name: dict[str, HookPoint] = {}
    for hook_point in hook_points:
        by_name.setdefault(hook_point.name, hook_point)
    of_hook = {(each.layer, each.component): each for each in by_name.values()}
    found, faults = dict[str, HookPoint](), []
    for name in names:
        layer, component = read_hook_name(name) or (-1, "")
        try:
            hook_point = by_name.get(name) or of_hook.get(
                (layer, component_of(component, layer, hook_points, architecture))
            )
        except ValueError as error:
            faults.append(str(error))
            continue
        if hook_point is not None:
            found[name] = hook_point
        else:
            faults.append(f"{name!r} is not a hook point of {architecture}; {nearest_tensor(name, list(by_name))}")
    if faults:
        raise ValueError("\n".join(faults))
    return found


def component_of(component: str, layer: int, hook_points: Iterable[HookPoint], architecture: str) -> str:
    """The component that a site means in a model: `hook_attn_out` and `hook_mlp_out` go by architecture.

    Raises:
        ValueError: TransformerLens has such a name at a tensor that is not a hook point of this model.
    """
    if component not in BY_ARCHITECTURE:
        return component
    meant, name = BY_ARCHITECTURE[component], f"blocks.{layer}.{component}"
    of_layer = [each for each in hook_points if (each.component, each.layer) == (meant, layer)]
    if not of_layer or of_layer[0].synonym == name:
        return meant
    raise ValueError(_elsewhere(name, of_layer[0], architecture))


def _elsewhere(name: str, hook_point: HookPoint, architecture: str) -> str:
    return (
        f"{name!r} is in TransformerLens the tensor that the sublayer adds to the residual stream. In {architecture} "
        f"it is not the output of the sublayer's last linear map, and not a hook point here; that map's output is "
        f"{hook_point.name}"
    )
