"""The settings that depend on the number of a block, and how they change when blocks are left out.

Stock configurations hold such settings in many forms. A setting with one entry per block (`layer_types`,
`no_rope_layers`, `mlp_layer_types`, GPT-Neo's run-length coded `attention_types`) follows the kept blocks whatever its
name is. Counts of first blocks and lists of block numbers look like other numbers, so these are named here. Other
settings (every n-th block, a scale by the block's number) cannot be carried over: the check of the cut finds and names
them.
"""

import copy
import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig, PreTrainedModel

# Settings that give how many of the first blocks are of another kind than the rest.
_FIRST_BLOCKS = ("first_k_dense_replace", "num_dense_layers", "max_window_layers", "moe_layer_start_index")
# Settings that give the numbers of the blocks that are of another kind than the rest.
_BLOCK_NUMBERS = ("mlp_only_layers", "full_attn_idxs", "attn_layer_indices", "moe_layers", "ple_layer_ids")
# Settings that give how many blocks the layers share: every block serves a layer.
_SHARED_BLOCKS = ("num_hidden_groups",)
# Lists and numbered entries of tokens, labels and names, which every architecture has; bounds and factors of parts of
# a block, which may be as many as there are blocks; and blocks in addition to those that are counted.
_OF_NO_BLOCK = re.compile(r"token_ids?$|label|^architectures$|_limit$|_multipliers$|^mtp_")
_A_BLOCKS_NUMBER = re.compile(r"(layer_idx|layer_id|layer_index|layer_number|\bidx|\bi)\b")


def chosen_blocks(total: int, layers: Sequence[int] | None, every: int | None) -> list[int]:
    """The numbers of the blocks that are kept: the named ones, or every n-th.

    Raises:
        ValueError: Not exactly one of `layers` and `every` is given, or a model of `total` blocks has not these.
    """
    if (layers is None) == (every is None):
        raise ValueError(f"give either layers or every, not both or neither; got layers={layers}, every={every}")
    if every is not None:
        if not 1 <= every <= total:
            raise ValueError(f"every={every} leaves no block; the teacher has {total} blocks")
        return list(range(0, total, every))
    chosen = list(layers or ())
    wrong = [layer for layer in chosen if not 0 <= layer < total]
    if wrong or not chosen:
        raise ValueError(f"layers={chosen}: the teacher has blocks 0–{total - 1}; name only these, at least one")
    return chosen


def set_width(config: PreTrainedConfig, width: int, whole: int, heads: int) -> None:
    """Changes a configuration of width `whole` with this many heads to another width; heads keep theirs.

    Raises:
        ValueError: The width is not a multiple of a head's width.
    """
    head_width = whole // heads
    if width <= 0 or width % head_width:
        raise ValueError(f"width={width} does not divide into heads of {head_width}; give a multiple of {head_width}")
    ratio = width / whole
    config.hidden_size, config.num_attention_heads = width, width // head_width
    for name in ("intermediate_size", "ffn_dim", "hidden_dim", "n_inner"):
        if getattr(config, name, None) is not None:
            setattr(config, name, round(getattr(config, name) * ratio))
    if getattr(config, "num_key_value_heads", None) is not None:
        heads, most = config.num_attention_heads, max(1, round(config.num_key_value_heads * ratio))
        config.num_key_value_heads = max(count for count in range(1, most + 1) if heads % count == 0)
    if getattr(config, "word_embed_proj_dim", None) is not None:
        config.word_embed_proj_dim = width


def keep_blocks(config: PreTrainedConfig, chosen: Sequence[int]) -> PreTrainedConfig:
    """The configuration of a model with only some of the blocks, as a saved folder would give it back.

    Args:
        config: The configuration of the whole model; it is not changed.
        chosen: The whole model's block that each block of the new one is copied from.

    Raises:
        ValueError: The configuration does not read back as it was written; the settings are named.
    """
    settings = json.loads(json.dumps(config.to_dict()))
    # The weights are floating-point numbers when they are copied.
    settings.pop("quantization_config", None)
    text = config.get_text_config()
    for_blocks = settings if text is config else settings[_text_key(config, text)]
    depth = _depth(text)
    total = getattr(text, depth)
    for name in [name for name in for_blocks if not _OF_NO_BLOCK.search(name)]:
        for_blocks[name] = _for_blocks(name, for_blocks[name], total, chosen)
    if depth in for_blocks:  # some configurations count the entries of a list instead
        for_blocks[depth] = len(chosen)
    try:
        kept = type(config).from_dict(copy.deepcopy(settings))
    except (ValueError, KeyError, TypeError, StrictDataclassError) as error:
        raise ValueError(
            f"blocks {list(chosen)} of a {config.model_type} make no configuration that transformers takes: "
            f"{' '.join(str(error).split())}"
        ) from error
    kept._attn_implementation = config._attn_implementation
    read = json.loads(json.dumps(kept.to_dict()))
    if differing := sorted(_differing(settings, read)):
        raise ValueError(
            f"blocks {list(chosen)} of a {config.model_type} cannot be saved: {', '.join(differing)}; "
            "choose other blocks, or train a student that has a configuration of its own"
        )
    return kept


def _differing(written: Mapping[str, Any], read: Mapping[str, Any], inside: str = "") -> Iterator[str]:
    """The settings that are not read back as they were written, those of parts by their own names."""
    for name, value in written.items():
        other = read.get(name)
        if isinstance(value, dict) and isinstance(other, dict):
            yield from _differing(value, other, f"{inside}{name}.")
        elif other != value:
            yield f"{inside}{name} would be read back as {other!r}"


def settings_by_number(model: PreTrainedModel) -> tuple[str, ...]:
    """The settings in use that a model's code reads together with a block's number: a wrong cut can be due to one."""
    try:
        source = inspect.getsource(sys.modules[type(model).__module__])
    except (OSError, TypeError, KeyError):  # a class that was made without a file
        return ()
    lines = "\n".join(line for line in source.splitlines() if _A_BLOCKS_NUMBER.search(line))
    config = model.config.get_text_config()
    depth = {"num_hidden_layers", config.attribute_map.get("num_hidden_layers")}
    read = set(re.findall(r"\w+", lines)) - depth
    # Settings with an entry per block were carried over; settings that are unset or 0 do nothing.
    in_use = {name for name, value in config.to_dict().items() if value and not isinstance(value, list | dict)}
    return tuple(sorted(in_use & read))


def _depth(text: PreTrainedConfig) -> str:
    """The setting with the number of blocks; a decoder alone may have the configuration of an encoder with a decoder,
    whose `num_hidden_layers` are those of the encoder.
    """
    if "decoder_layers" in vars(text) and not text.is_encoder_decoder:
        return "decoder_layers"
    return text.attribute_map.get("num_hidden_layers", "num_hidden_layers")


def _text_key(config: PreTrainedConfig, text: PreTrainedConfig) -> str:
    return next(name for name in config.sub_configs if getattr(config, name) is text)


def _for_blocks(name: str, value: Any, total: int, chosen: Sequence[int]) -> Any:
    """The value of a setting for the chosen blocks."""
    if name in _FIRST_BLOCKS and isinstance(value, int):
        return _first_of(value, chosen)
    if name in _SHARED_BLOCKS and isinstance(value, int):
        return min(value, len(chosen))
    if isinstance(value, dict) and value and all(str(key).isdigit() for key in value):
        return {str(index): value[str(layer)] for index, layer in enumerate(chosen) if str(layer) in value}
    if not isinstance(value, list):
        return value
    if name in _BLOCK_NUMBERS:
        return [index for index, layer in enumerate(chosen) if layer in value]
    if len(value) == total:
        return [value[layer] for layer in chosen]
    written_out = _written_out(value)
    return [[[written_out[layer]], 1] for layer in chosen] if len(written_out) == total else value


def _first_of(count: int, chosen: Sequence[int]) -> int:
    """The number of chosen blocks that are among the first ones, if these come first; otherwise the old count."""
    inside = [layer < count for layer in chosen]
    return sum(inside) if inside == sorted(inside, reverse=True) else count


def _written_out(value: list[Any]) -> list[Any]:
    """The entries of a run-length code such as [[["global", "local"], 6]]; empty if it is not such a code."""
    runs = [run for run in value if isinstance(run, list) and len(run) == 2]
    if len(runs) < len(value) or not all(isinstance(run[0], list) and isinstance(run[1], int) for run in runs):
        return []
    return [kind for kinds, times in runs for kind in kinds * times]
