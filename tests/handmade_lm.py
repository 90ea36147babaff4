"""A causal LM whose weights are written down and that answers the planted stories: a stock OPT.

Block 0 fetches the token before to every position, so that a place has the person beside it. In block 1 a person looks
for the positions that fetched the same person, and takes over the token there, the place. So a story's question is
answered at the person who is asked for, of whom there is one fact; what other positions predict means nothing. Features
are stored twice, as themselves and negated, as in tests/handmade.py.
"""

import itertools

import torch
from transformers import OPTConfig, OPTForCausalLM

from causalkd.data.synthetic.stories import LENGTH, PERSONS, VOCABULARY
from causalkd.models.hooks.hooked_model import HookedModel

TOKENS = len(VOCABULARY)
_SLOTS = {"token": TOKENS, "position": LENGTH, "fetched": TOKENS, "answer": TOKENS}
_FEATURES = sum(_SLOTS.values())
_START = dict(zip(_SLOTS, itertools.accumulate(_SLOTS.values(), initial=0), strict=False))
_SHARP = 1000 * (2 * _FEATURES) ** 0.5  # which undoes the attention's own scale


def handmade_lm() -> HookedModel:
    """The transformer, as a teacher."""
    width = 2 * _FEATURES
    config = OPTConfig(
        vocab_size=TOKENS, hidden_size=width, word_embed_proj_dim=width, ffn_dim=1, num_hidden_layers=2,
        num_attention_heads=1, max_position_embeddings=LENGTH, dropout=0.0, attention_dropout=0.0, layerdrop=0.0,
        pad_token_id=0, bos_token_id=2, eos_token_id=3, tie_word_embeddings=False, do_layer_norm_before=True,
    )  # fmt: skip
    model = OPTForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        _write(model)
    return HookedModel(model, task="causal_lm", role="teacher")


def _write(model: OPTForCausalLM) -> None:
    decoder = model.model.decoder
    fetching, answering = decoder.layers
    for token in range(TOKENS):
        decoder.embed_tokens.weight[token] = _feature("token", token)
        fetching.self_attn.out_proj.weight[:, token] = _feature("fetched", token)
        answering.self_attn.out_proj.weight[:, token] = _feature("answer", token)
        for block in decoder.layers:
            block.self_attn.v_proj.weight[token, _START["token"] + token] = 1
        model.lm_head.weight[token, _START["answer"] + token] = 1
    for position in range(LENGTH):
        decoder.embed_positions.weight[position + decoder.embed_positions.offset] = _feature("position", position)
        fetching.self_attn.q_proj.weight[max(position - 1, 0), _START["position"] + position] = _SHARP
        fetching.self_attn.k_proj.weight[position, _START["position"] + position] = 1
    for person in (VOCABULARY[name] for name in PERSONS):
        answering.self_attn.q_proj.weight[person, _START["token"] + person] = _SHARP
        answering.self_attn.k_proj.weight[person, _START["fetched"] + person] = 1
    for active, block in zip((2, 3), decoder.layers, strict=True):
        norm = block.self_attn_layer_norm
        norm.weight.fill_((active / _FEATURES + norm.eps) ** 0.5)
    decoder.final_layer_norm.weight.fill_(1)


def _feature(slot: str, index: int) -> torch.Tensor:
    vector = torch.zeros(2 * _FEATURES)
    vector[_START[slot] + index], vector[_FEATURES + _START[slot] + index] = 1, -1
    return vector
