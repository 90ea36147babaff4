"""The places of a model: where an activation can be read and replaced, under TransformerLens' names."""

import difflib
from dataclasses import dataclass
from typing import Literal

from torch import nn
from transformer_lens.model_bridge.architecture_adapter import ArchitectureAdapter

# pyvene's component names -> TransformerLens' path inside a block, and which side of that module.
# `attn.o` and `mlp.out` are the sublayers' last linear maps, before dropout, residual and norm.
_INSIDE_BLOCK: dict[str, tuple[str, Literal["input", "output"]]] = {
    "block_input": ("", "input"),
    "attention_value_output": ("attn.o", "input"),
    "head_attention_value_output": ("attn.o", "input"),
    "attention_output": ("attn.o", "output"),
    "mlp_output": ("mlp.out", "output"),
    "block_output": ("", "output"),
}
# In the order in which a block computes them.
COMPONENTS: tuple[str, ...] = ("token_embedding", *_INSIDE_BLOCK)


@dataclass(frozen=True)
class Place:
    """One tensor of positions inside one model.

    Attributes:
        name: TransformerLens' hook name, e.g. `blocks.3.attn.o.hook_out`.
        component: pyvene's component name, e.g. `attention_output`; `token_embedding` is ours.
        layer: Index of the block, from 0; 0 for the token embedding.
        module: Path of the module in the stock model.
        side: Whether the tensor enters or leaves that module.
        width: Size of the tensor's last dimension.
        heads: Number of equal column groups; 1 where the place is not split by heads.
    """

    name: str
    component: str
    layer: int
    module: str
    side: Literal["input", "output"]
    width: int
    heads: int = 1

    @property
    def depth(self) -> tuple[int, int]:
        """Sorts places in the order in which a forward reaches them."""
        order = COMPONENTS.index(self.component)
        return (self.layer if order else -1, order)


def find_places(adapter: ArchitectureAdapter, model: nn.Module) -> tuple[Place, ...]:
    """Every place of a stock model that its adapter can name, in the order a forward reaches them.

    Raises:
        AttributeError: The adapter names a module the model does not have.
    """
    config = adapter.cfg
    embedding = adapter.translate_transformer_lens_path("embed")
    width = model.get_submodule(embedding).embedding_dim  # not always the blocks' width: OPT can project
    assert isinstance(width, int)
    places = [Place("embed.hook_out", "token_embedding", 0, embedding, "output", width)]
    for layer in range(config.n_layers):
        for component, (inside, side) in _INSIDE_BLOCK.items():
            path = f"blocks.{layer}.{inside}".rstrip(".")
            module = adapter.translate_transformer_lens_path(path)
            width = _input_width(model.get_submodule(module)) if inside and side == "input" else config.d_model
            heads = config.n_heads if component.startswith("head_") else 1
            name = f"{path}.hook_{'in' if side == 'input' else 'out'}"
            places.append(Place(name, component, layer, module, side, width, heads))
    return tuple(places)


def nearest(given: str, valid: list[str]) -> str:
    """The valid name that looks most like the given one, as `did you mean …?`, or all of them when none does."""
    close = difflib.get_close_matches(given, valid, n=1, cutoff=0.4)
    return f"did you mean {close[0]}?" if close else f"choose one of {', '.join(valid)}"


def _input_width(linear: nn.Module) -> int:
    # GPT-2's Conv1D keeps its weight as (in, out), nn.Linear as (out, in).
    weight = linear.get_parameter("weight")
    return weight.shape[1] if isinstance(linear, nn.Linear) else weight.shape[0]
