"""The hook points of a stock model, found with TransformerLens' adapter."""

import itertools
from collections.abc import Iterator

from torch import nn
from transformer_lens.model_bridge.architecture_adapter import ArchitectureAdapter

from causalkd.models.adapters import TableAdapter
from causalkd.models.hooks.hook_points import ADDED, INSIDE_BLOCK, INSTEAD, HookPoint


def find_hook_points(adapter: ArchitectureAdapter, model: nn.Module) -> tuple[HookPoint, ...]:
    """Every hook point of a stock model that its adapter can name, in the order in which a forward pass reaches
    them.

    A component that a block does not have is left out; the input and output of a block always exist.

    Raises:
        ValueError: The adapter's list of blocks is not in the model.
    """
    found: dict[tuple[str, int], HookPoint] = {}
    for hook_point in candidate_hook_points(adapter, model):
        found.setdefault((hook_point.component, hook_point.layer), hook_point)
    return tuple(found.values())


def candidate_hook_points(adapter: ArchitectureAdapter, model: nn.Module) -> Iterator[HookPoint]:
    """The same with several candidates for a component if more than one may be right, the likelier first.

    Raises:
        ValueError: The adapter's list of blocks is not in the model.
    """
    blocks = blocks_of_layers(adapter, model)
    embedding = module_at(model, adapter, "embed")
    if embedding is not None:
        # Not always the blocks' width: OPT can project.
        width = vars(embedding[1]).get("embedding_dim", adapter.cfg.d_model)
        yield HookPoint("embed.hook_out", "token_embedding", 0, embedding[0], "output", width)
    heads = adapter.cfg.n_heads
    for layer, (component, (inside, side)) in itertools.product(range(len(blocks)), INSIDE_BLOCK.items()):
        for part in (inside, *([INSTEAD[inside]] if inside in INSTEAD else ())):
            found = module_at(model, adapter, f"blocks.{blocks[layer]}.{part}".rstrip("."))
            if found is None:
                continue
            width = _input_width(found[1]) if inside and side == "input" else adapter.cfg.d_model
            by_head = component.startswith("head_")
            if width is None or (by_head and not (isinstance(heads, int) and heads and width % heads == 0)):
                continue
            path = f"blocks.{layer}.{part}".rstrip(".")
            name = f"{path}.hook_{'in' if side == 'input' else 'out'}"
            added = _added(adapter, model, blocks[layer], component)
            yield HookPoint(name, component, layer, found[0], side, width, heads if by_head else 1, added=added)


def _added(adapter: ArchitectureAdapter, model: nn.Module, block: int, component: str) -> str | None:
    """The stock path of the module whose output TransformerLens takes for what a sublayer adds; None if none is."""
    bridge = (adapter.component_mapping or {}).get("blocks")
    target = getattr(bridge, "hook_aliases", {}).get(ADDED.get(component, ""))
    if not isinstance(target, str) or not target.endswith(".hook_out"):
        return None
    found = module_at(model, adapter, f"blocks.{block}.{target.removesuffix('.hook_out')}")
    return None if found is None else found[0]


def block_list(adapter: ArchitectureAdapter, model: nn.Module) -> nn.ModuleList:
    """The stock model's list of blocks.

    Raises:
        ValueError: The adapter's list of blocks is not in the model.
    """
    found = module_at(model, adapter, "blocks")
    if found is None or not isinstance(found[1], nn.ModuleList):
        raise ValueError(
            f"{type(model).__name__} has no single list of blocks"
            f"{'' if found is None else f' at {found[0]!r}'} where its adapter says; correct the architecture's entry, "
            "or use another architecture"
        )
    return found[1]


def blocks_of_layers(adapter: ArchitectureAdapter, model: nn.Module) -> tuple[int, ...]:
    """The index of the block that computes each layer: the layer's own, unless consecutive layers share a block.

    Raises:
        ValueError: The adapter's list of blocks is not in the model.
    """
    blocks = len(block_list(adapter, model))
    layers = adapter.cfg.n_layers if isinstance(adapter, TableAdapter) and adapter.repeats else blocks
    return tuple(layer * blocks // layers for layer in range(layers))


def module_at(model: nn.Module, adapter: ArchitectureAdapter, path: str) -> tuple[str, nn.Module] | None:
    """The stock path and the module of a TransformerLens name; None if the model has no such module."""
    try:
        stock = adapter.translate_transformer_lens_path(path)
        return stock, model.get_submodule(stock)
    except (AttributeError, ValueError):
        return None


def _input_width(linear: nn.Module) -> int | None:
    """The input width of a linear map; None if it cannot be read from the module."""
    if isinstance(linear, nn.Linear):
        return linear.in_features
    # GPT-2's Conv1D keeps its weight as (in, out); a wrapper of a linear map gives the number of input columns.
    sizes = vars(linear)
    return sizes.get("in_features", sizes.get("nx"))
