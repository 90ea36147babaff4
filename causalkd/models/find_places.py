"""Which places a stock model has, found with TransformerLens' adapter."""

from torch import nn
from transformer_lens.model_bridge.architecture_adapter import ArchitectureAdapter
from transformers.pytorch_utils import Conv1D

from causalkd.models.places import INSIDE_BLOCK, Place
from causalkd.models.plain_weights import bare


def find_places(adapter: ArchitectureAdapter, model: nn.Module) -> tuple[Place, ...]:
    """Every place of a stock model that its adapter can name, in the order a forward reaches them.

    Raises:
        AttributeError: The adapter names a module the model does not have.
    """
    config = adapter.cfg
    embedding = adapter.translate_transformer_lens_path("embed")
    width = bare(model.get_submodule(embedding)).embedding_dim  # not always the blocks' width: OPT can project
    assert isinstance(width, int)
    places = [Place("embed.hook_out", "token_embedding", 0, embedding, "output", width)]
    for layer in range(config.n_layers):
        for component, (inside, side) in INSIDE_BLOCK.items():
            path = f"blocks.{layer}.{inside}".rstrip(".")
            module = adapter.translate_transformer_lens_path(path)
            width = _input_width(model.get_submodule(module)) if inside and side == "input" else config.d_model
            heads = config.n_heads if component.startswith("head_") else 1
            name = f"{path}.hook_{'in' if side == 'input' else 'out'}"
            places.append(Place(name, component, layer, module, side, width, heads))
    return tuple(places)


def _input_width(module: nn.Module) -> int:
    # Not the weight's shape: GPT-2's Conv1D keeps it as (in, out), a quantised layer packed, an adapter not at all.
    linear = bare(module)
    width = linear.nx if isinstance(linear, Conv1D) else linear.in_features
    assert isinstance(width, int)
    return width
