"""Tiny random models of every architecture and head that causalkd's table or TransformerLens names."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from transformer_lens.factories import architecture_adapter_factory
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel

from causalkd.models.architectures import architecture_of
from causalkd.models.heads import HEAD_NAMES, auto_class
from causalkd.task_types import Task
from tests.tiny import HEADS, LABELS, PAD, POSITIONS, VOCABULARY, WIDTH, _widen

LAYERS = 3
TRANSFORMER_LENS: tuple[str, ...] = tuple(architecture_adapter_factory.SUPPORTED_ARCHITECTURES)
"""The class names that TransformerLens itself has adapters for."""

# What configurations call their sizes; each takes those that it has.
_SIZES: dict[str, Any] = {
    **{"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "vocab_size": VOCABULARY},
    **{"intermediate_size": 2 * WIDTH, "ffn_hidden_size": 2 * WIDTH, "ffn_dim": 2 * WIDTH},
    **{"num_key_value_heads": HEADS // 2, "head_dim": WIDTH // HEADS, "max_position_embeddings": POSITIONS},
    **{"pad_token_id": PAD, "bos_token_id": 2, "eos_token_id": 3, "embedding_size": WIDTH, "layerdrop": 0.0},
    **{"num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2},
    **{"moe_intermediate_size": 16, "moe_num_experts": 4, "moe_k": 2, "n_group": 1, "topk_group": 1},
    **{"shared_expert_intermediate_size": 16, "q_lora_rank": 16, "kv_lora_rank": 16, "num_local_experts_per_tok": 2},
    **{"qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8, "qk_head_dim": 16, "rotary_dim": 4},
    **{"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8},
    **{"linear_conv_kernel_dim": 2, "sliding_window": 32, "state_size": 8, "mamba_d_state": 8, "mamba_n_heads": 8},
    **{"mamba_d_head": 8, "mamba_n_groups": 1, "mamba_expand": 2, "num_heads": 8, "n_groups": 1, "chunk_size": 16},
    **{"mamba_chunk_size": 16, "type_vocab_size": 2, "word_embed_proj_dim": WIDTH, "initializer_range": 0.2},
    **{"index_topk": 64, "index_head_dim": 8, "index_n_heads": 2, "moe_latent_size": None, "max_seq_len": POSITIONS},
    **{"decoder_layers": LAYERS, "decoder_ffn_dim": 2 * WIDTH, "decoder_attention_heads": HEADS},
    **{"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": VOCABULARY, "laurel_rank": 4},
}
_LATENT = {"qk_rope_head_dim": 8, "head_dim": 8, "num_key_value_heads": HEADS, "n_shared_experts": 1}
# transformers runs no hybrid without a block of full attention, so a student of the first and the last block has one.
_HYBRID = {"num_hidden_layers": 4, "layer_types": ["linear_attention", "full_attention"] * 2}
_SECTIONS = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}}
# What differs from that, by type.
_APART: dict[str, dict[str, Any]] = {
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "num_layers": 4, "window_size": 16},
    "emu3": {"vocabulary_map": {"<image>": 5, "<|extra_200|>": 6}},
    "mamba2": {"head_dim": 8, "num_heads": 8},
    "phi": {"partial_rotary_factor": 0.5},
    "persimmon": {"partial_rotary_factor": 0.5},
    "jetmoe": {"kv_channels": 8, "num_key_value_heads": 2, "num_attention_heads": 4},
    "recurrent_gemma": {"lru_width": WIDTH, "attention_window_size": 16},
    "ctrl": {"n_positions": POSITIONS, "dff": 64},
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 16},
    "qwen3_next": _HYBRID,
    "qwen3_5_text": _HYBRID,
    "qwen3_5_moe_text": _HYBRID,
    "olmo_hybrid": _HYBRID,
    "qwen2_5_vl_text": _SECTIONS,
    "glm4v_text": _SECTIONS,
    "granitemoehybrid": _HYBRID,
    "bamba": {"attn_layer_indices": [1]},
    # Blocks 0 and 3 are of the kinds that blocks 0 and 1 have.
    "jamba": {
        "num_hidden_layers": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "mamba_dt_rank": 4,
        "use_mamba_kernels": False,
    },
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_n_heads": 8},
    "deepseek_v2": _LATENT,
    "deepseek_v3": _LATENT,
    "glm4_moe_lite": _LATENT,
    "glm_moe_dsa": _LATENT,
    "youtu": _LATENT,
    "dots1": {"n_shared_experts": 1, "first_k_dense_replace": 1},
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv"], "num_dense_layers": 1},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid", "linear_attention"]},
    "lfm2": {"layer_types": ["conv", "full_attention", "conv"]},
    "smollm3": {"no_rope_layers": [1, 0, 1], "no_rope_layer_interval": 2},
}


def model_types() -> tuple[str, ...]:
    """Every type of model that has a language model which causalkd's table or TransformerLens names."""
    named: dict[str, None] = {}
    for mapping in (*HEAD_NAMES["masked_lm"], *HEAD_NAMES["causal_lm"]):
        for model_type, name in mapping.items():
            if name in TRANSFORMER_LENS or architecture_of(model_type) is not None or model_type == "distilbert":
                named[model_type] = None
    # Encoders with a decoder are listed where the usual tables have them: all are refused for the same reason.
    usual = {**HEAD_NAMES["masked_lm"][0], **HEAD_NAMES["causal_lm"][0]}
    named = {each: None for each in named if each in usual or not CONFIG_MAPPING[each]().is_encoder_decoder}
    return tuple(sorted(named))


@cache
def tasks_of(model_type: str) -> tuple[Task, ...]:
    """The heads that transformers has for a type of models; a regression's is that of a classification."""
    return tuple(task for task in HEAD_NAMES if any(model_type in names for names in HEAD_NAMES[task]))


def heads() -> Iterator[tuple[str, Task, str]]:
    """Every row of the table: type of model, task and the class of the head, of which a task can have several."""
    for model_type in model_types():
        for task in tasks_of(model_type):
            usual, *further = HEAD_NAMES[task]
            # The further tables also hold encoders with a decoder, which are no causal language models.
            tables = [usual] if further and CONFIG_MAPPING[model_type]().is_encoder_decoder else [usual, *further]
            for name in dict.fromkeys(names[model_type] for names in tables if model_type in names):
                yield model_type, task, name


def tiny_config(model_type: str, task: Task, head: str | None = None) -> PreTrainedConfig:
    """A configuration of a tiny model; `head` is the class of its head, the usual one where it is None."""
    made = CONFIG_MAPPING[model_type]
    plain = made()
    nested = {key: type(part) for key, part in vars(plain).items() if isinstance(part, PreTrainedConfig)}
    text = next((key for key, part in vars(plain).items() if part is plain.get_text_config()), None)
    values = _values(plain, model_type)
    if text is not None:
        inner = getattr(plain, text)
        smaller = {"depth": 1, "num_hidden_layers": 1, "hidden_size": WIDTH, "num_heads": HEADS}
        smaller |= {"num_attention_heads": HEADS, "intermediate_size": WIDTH, "out_hidden_size": WIDTH}
        smaller |= {"base_channels": 32, "num_res_blocks": 1, "codebook_size": 8}
        smaller |= {"encoder_layers": 1, "d_model": WIDTH, "encoder_ffn_dim": WIDTH, "encoder_attention_heads": HEADS}
        values = {
            key: {"model_type": part.model_type} | {k: v for k, v in smaller.items() if k in part.to_dict()}
            for key, part in vars(plain).items()
            if key in nested and key != text
        }
        values |= {key: WIDTH for key in ("projector_hidden_size", "out_hidden_size") if key in vars(plain)}
        values |= {key: value for key, value in _APART.get(model_type, {}).items() if key in vars(plain)}
        values[text] = nested[text](**_values(inner, inner.model_type)).to_dict()
    config = made(**values)
    if task == "causal_lm" and "masked_lm" in tasks_of(model_type):
        config.is_decoder = True
    if head is not None:
        config.architectures = [head]
    config.num_labels = {"question_answering": 2}.get(task, LABELS)
    return config


def _values(plain: PreTrainedConfig, model_type: str) -> dict[str, Any]:
    has = plain.to_dict()
    names = {plain.attribute_map.get(key, key): value for key, value in _SIZES.items()}
    sized = {key: value for key, value in names.items() if key in has}
    off = {key: 0.0 for key, value in has.items() if ("drop" in key) and isinstance(value, float)}
    kinds = {"layer_types": None} if "layer_types" in has else {}
    return {**off, **sized, **kinds, **_APART.get(model_type, {})}


def tiny_of(model_type: str, task: Task, head: str | None = None, seed: int = 0) -> PreTrainedModel:
    """A stock model in eval mode, from a seed; the caller's random state is left as it was."""
    config = tiny_config(model_type, task, head)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = auto_class(config, task).from_config(config, dtype=torch.float32)
        _widen(model)
    return model.eval()
