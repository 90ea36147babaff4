"""The hook points of a model: where an activation can be read and replaced, under TransformerLens' names.

This module imports no library that is slow to load, because declaring an alignment or a recipe needs only the names.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

# pyvene's component names -> TransformerLens' path inside a block, and whether it is that module's input or output.
# `attn.o` and `mlp.out` are the sublayers' last linear maps, before dropout, residual and norm.
INSIDE_BLOCK: dict[str, tuple[str, Literal["input", "output"]]] = {
    "block_input": ("", "input"),
    "attention_value_output": ("attn.o", "input"),
    "head_attention_value_output": ("attn.o", "input"),
    "attention_output": ("attn.o", "output"),
    "mlp_output": ("mlp.out", "output"),
    "block_output": ("", "output"),
}
# The substitute for a path that an architecture lacks: the output of a mixture of experts is that of the whole MLP.
INSTEAD: dict[str, str] = {"mlp.out": "mlp"}
# TransformerLens' names for what a sublayer adds to the residual stream. If a norm or a scale follows the sublayer's
# last linear map (Gemma 2, Granite), or TransformerLens counts a norm to the sublayer (BERT), it is another tensor.
ADDED: dict[str, str] = {"attention_output": "hook_attn_out", "mlp_output": "hook_mlp_out"}
# The boundaries between blocks: a forward pass can be resumed there with one tensor.
BOUNDARIES = ("block_input", "block_output")
# The order in which a block computes them.
COMPONENTS: tuple[str, ...] = ("token_embedding", *INSIDE_BLOCK)


@dataclass(frozen=True)
class HookPoint:
    """One tensor with positions inside one model.

    Attributes:
        name: TransformerLens' hook name, e.g. `blocks.3.attn.o.hook_out`.
        component: pyvene's component name, e.g. `attention_output`; `token_embedding` is ours.
        layer: Index of the block, from 0; 0 for the token embedding.
        module: Path of the module in the stock model.
        side: Whether the tensor enters or leaves that module.
        width: Size of the tensor's last dimension.
        heads: Number of equal column groups; 1 if the tensor is not split by heads.
        is_overwritten: Whether the model changes this tensor in place afterwards.
        added: Path of the module whose output TransformerLens calls `hook_attn_out` or `hook_mlp_out`, where this is
            the same tensor (but for dropout); None elsewhere. If the weights are not in memory, it is assumed to be
            the same tensor without being measured.
    """

    name: str
    component: str
    layer: int
    module: str
    side: Literal["input", "output"]
    width: int
    heads: int = 1
    is_overwritten: bool = False
    added: str | None = None

    @property
    def is_inside(self) -> bool:
        """Whether it is inside a block: not a block's input or output, nor the embedding."""
        return self.component not in ("token_embedding", *BOUNDARIES)

    @property
    def tensor(self) -> tuple[int, str, str]:
        """The identity of the tensor in a forward pass: layers can share a module, and blocks share a boundary."""
        if self.component in BOUNDARIES:
            return self.layer + (self.component == "block_output"), "", ""
        return self.layer, self.module, self.side

    @property
    def synonym(self) -> str | None:
        """TransformerLens' name that goes by architecture, e.g. `blocks.3.hook_attn_out`; None if it is elsewhere."""
        return None if self.added is None else f"blocks.{self.layer}.{ADDED[self.component]}"

    @property
    def depth(self) -> tuple[int, int]:
        """Sorts hook points in the order in which a forward pass reaches them."""
        order = COMPONENTS.index(self.component)
        return (self.layer if order else -1, order)


def by_layer(component: str, hook_points: Iterable[HookPoint]) -> dict[int, HookPoint]:
    """The hook points of a component by their layers, ascending; some models have it in some layers alone."""
    return {hook_point.layer: hook_point for hook_point in hook_points if hook_point.component == component}


def absent(component: str, layer: int, architecture: str, hook_points: Iterable[HookPoint]) -> str:
    """The message that a component is not in a layer, and where it is, or what there is instead."""
    hook_points = tuple(hook_points)
    layers = list(by_layer(component, hook_points))
    if not layers:
        others = ", ".join(dict.fromkeys(hook_point.component for hook_point in hook_points))
        return f"{architecture} has no {component} in any layer; it has {others}"
    is_range = len(layers) > 1 and layers == list(range(layers[0], layers[-1] + 1))
    where = f"{layers[0]}–{layers[-1]}" if is_range else ", ".join(map(str, layers))
    where = f"layer{'s' if len(layers) > 1 else ''} {where}"
    return f"{component} of layer {layer} does not exist; {architecture} has {component} in {where}"
