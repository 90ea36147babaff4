"""Which places a stock model has, found with TransformerLens' adapter."""

from torch import nn
from transformer_lens.model_bridge.architecture_adapter import ArchitectureAdapter

from causalkd.models.hooks.hook_points import INSIDE_BLOCK, HookPoint


def find_hook_points(adapter: ArchitectureAdapter, model: nn.Module) -> tuple[HookPoint, ...]:
    """Every place of a stock model that its adapter can name, in the order a forward reaches them.

    Raises:
        AttributeError: The adapter names a module the model does not have.
    """
    config = adapter.cfg
    embedding = adapter.translate_transformer_lens_path("embed")
    width = model.get_submodule(embedding).embedding_dim  # not always the blocks' width: OPT can project
    assert isinstance(width, int)
    hook_points = [HookPoint("embed.hook_out", "token_embedding", 0, embedding, "output", width)]
    for layer in range(config.n_layers):
        for component, (inside, side) in INSIDE_BLOCK.items():
            path = f"blocks.{layer}.{inside}".rstrip(".")
            module = adapter.translate_transformer_lens_path(path)
            width = _input_width(model.get_submodule(module)) if inside and side == "input" else config.d_model
            heads = config.n_heads if component.startswith("head_") else 1
            name = f"{path}.hook_{'in' if side == 'input' else 'out'}"
            hook_points.append(HookPoint(name, component, layer, module, side, width, heads))
    return tuple(hook_points)


def _input_width(linear: nn.Module) -> int:
    # GPT-2's Conv1D keeps its weight as (in, out), nn.Linear as (out, in).
    weight = linear.get_parameter("weight")
    return weight.shape[1] if isinstance(linear, nn.Linear) else weight.shape[0]
