"""A transformer whose weights are written down, so that what it computes where is known: a stock OPT classifier.

A row is three tokens, `x y bit`: two of eight symbols and one of two bits. The causal model is

    x, y       -> equal    whether the two symbols are the same
    equal, bit -> label    whether `equal` equals the bit

and the transformer computes it in two blocks: block 0 fetches x to the position of y and writes `equal` there, block 1
fetches `equal` to the position of the bit and writes the label. Every feature is stored twice, as itself and negated,
and as many are active in every row, so layer norms only rescale, by a known factor that their weights undo.
"""

import itertools

import numpy as np
import torch
from torch import nn
from transformers import OPTConfig, OPTForSequenceClassification

from causalkd.models.hooks.hooked_model import HookedModel, Role

SYMBOLS, BITS = 8, 2
FIRST_SYMBOL, FIRST_BIT, PAD = 2, 2 + SYMBOLS, 1
VARIABLES = ("x", "y", "bit", "equal", "label")
CAUSES = {"equal": ("x", "y"), "label": ("equal", "bit")}
SEGMENTS = {"x": (0, 1), "y": (1, 2), "bit": (2, 3)}

_SLOTS = {"token": SYMBOLS + BITS, "position": 3, "fetched": SYMBOLS + BITS, "equal": 2, "equal_fetched": 2, "label": 2}
_FEATURES = sum(_SLOTS.values())
WIDTH = 2 * _FEATURES
_START = dict(zip(_SLOTS, itertools.accumulate(_SLOTS.values(), initial=0), strict=False))


def counterfactual_labels(bases: list[dict], sources: list[dict], variable: str) -> np.ndarray:
    """The causal model: label of each base after the variable takes the value it has in the source."""
    held = [{variable: variables(source)[variable]} for source in sources]
    return np.array([_solve(base["input_ids"], each)["label"] for base, each in zip(bases, held, strict=True)])


def _solve(tokens: list[int], held: dict[str, int]) -> dict[str, int]:
    x, y, bit = tokens
    values = {"x": x, "y": y, "bit": bit - FIRST_BIT} | held
    values["equal"] = held.get("equal", int(values["x"] == values["y"]))
    values["label"] = held.get("label", int(values["equal"] == values["bit"]))
    return values


def variables(example: dict) -> dict[str, int]:
    """The value of every variable of a row."""
    return _solve(example["input_ids"], {})


def examples() -> list[dict]:
    """All 128 rows."""
    symbols = range(FIRST_SYMBOL, FIRST_SYMBOL + SYMBOLS)
    rows = itertools.product(symbols, symbols, range(FIRST_BIT, FIRST_BIT + BITS))
    return [{"input_ids": list(row), "segments": dict(SEGMENTS)} for row in rows]


def handmade(role: Role = "teacher", order: torch.Tensor | None = None, apart: bool = False) -> HookedModel:
    """The transformer.

    Args:
        role: As what it is hooked.
        order: Permutes the axes of its residual stream, which changes nothing that it computes.
        apart: A third block writes the label, so that after block 1 the bit's position holds `equal` and the bit.
    """
    config = OPTConfig(
        vocab_size=FIRST_BIT + BITS, hidden_size=WIDTH, word_embed_proj_dim=WIDTH, ffn_dim=SYMBOLS,
        num_hidden_layers=3 if apart else 2,
        num_attention_heads=1, max_position_embeddings=4, dropout=0.0, attention_dropout=0.0, layerdrop=0.0,
        pad_token_id=PAD, bos_token_id=0, eos_token_id=0, num_labels=2, do_layer_norm_before=True,
    )  # fmt: skip
    model = OPTForSequenceClassification(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        _write(model)
        if order is not None:
            _permute(model, order)
    return HookedModel(model, task="classification", role=role)


def _write(model: OPTForSequenceClassification) -> None:
    decoder = model.model.decoder
    for token in range(SYMBOLS + BITS):
        decoder.embed_tokens.weight[FIRST_SYMBOL + token] = _feature("token", token)
    for position in range(3):
        decoder.embed_positions.weight[position + decoder.embed_positions.offset] = _feature("position", position)
    first, second, last = *decoder.layers[:2], decoder.layers[-1]
    _undo_norm(first.self_attn_layer_norm, active=2)
    _fetch(first.self_attn, "token", "fetched")
    _undo_norm(first.final_layer_norm, active=3)
    _compare(first)
    _undo_norm(second.self_attn_layer_norm, active=4)
    _fetch(second.self_attn, "equal", "equal_fetched")
    _undo_norm(last.final_layer_norm, active=5)
    _answer(last)
    _undo_norm(decoder.final_layer_norm, active=6)
    for label in range(2):
        model.score.weight[label, _START["label"] + label] = 1


def _feature(slot: str, index: int) -> torch.Tensor:
    vector = torch.zeros(WIDTH)
    vector[_START[slot] + index], vector[_FEATURES + _START[slot] + index] = 1, -1
    return vector


def _undo_norm(norm: nn.LayerNorm, active: int) -> None:
    norm.weight.fill_((2 * active / WIDTH + norm.eps) ** 0.5)


def _fetch(attention: nn.Module, read: str, write: str) -> None:
    """Each position receives what the one before it has in a slot (the first one its own)."""
    for position in range(3):
        attention.q_proj.weight[max(position - 1, 0), _START["position"] + position] = 1000 * WIDTH**0.5
        attention.k_proj.weight[position, _START["position"] + position] = 1
    for index in range(_SLOTS[read]):
        attention.v_proj.weight[index, _START[read] + index] = 1
        attention.out_proj.weight[:, index] = _feature(write, index)


def _compare(block: nn.Module) -> None:
    """equal[1] = both slots hold the same symbol; equal[0] = 1 - equal[1]."""
    for symbol in range(SYMBOLS):
        _conjunction(block, symbol, ("token", symbol), ("fetched", symbol))
        block.fc2.weight[:, symbol] = _feature("equal", 1) - _feature("equal", 0)
    block.fc2.bias.copy_(_feature("equal", 0))


def _answer(block: nn.Module) -> None:
    """label[l] = the fetched `equal` and the bit agree, if l is 1; differ, if it is 0."""
    for unit, (equal, bit) in enumerate(itertools.product(range(2), range(BITS))):
        _conjunction(block, unit, ("equal_fetched", equal), ("token", SYMBOLS + bit))
        block.fc2.weight[:, unit] = _feature("label", int(equal == bit))


def _conjunction(block: nn.Module, unit: int, *features: tuple[str, int]) -> None:
    for slot, index in features:
        block.fc1.weight[unit, _START[slot] + index] = 1
    block.fc1.bias[unit] = -1


def _permute(model: OPTForSequenceClassification, order: torch.Tensor) -> None:
    decoder = model.model.decoder
    reading = [decoder.embed_tokens, decoder.embed_positions, decoder.final_layer_norm, model.score]
    writing: list[nn.Module] = []
    for block in decoder.layers:
        attention = block.self_attn
        reading += [block.self_attn_layer_norm, block.final_layer_norm, block.fc1]
        reading += [attention.q_proj, attention.k_proj, attention.v_proj]
        writing += [attention.out_proj, block.fc2]
    for module in reading:
        module.weight.copy_(module.weight[..., order])
    for module in writing:
        module.weight.copy_(module.weight[order])
        module.bias.copy_(module.bias[order])
