"""The table of architectures that TransformerLens does not name, one entry each, and how to add one.

An entry gives the paths of four modules in a stock model. Every head that transformers has for the architecture follows
from it. Whether the entry is right is measured on each model: see `models.hooks.measure` and `self_test`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True)
class Architecture:
    """The paths of the modules of a stock model that an alignment can name.

    Attributes:
        embedding: Path of the token embedding inside the model's body, e.g. `embeddings.word_embeddings`; the body is
            what the model's `base_model_prefix` names, and the model itself if that is empty.
        blocks: Path of the list of blocks inside the body, e.g. `encoder.layer`.
        attention_output: Path of the attention's last linear map inside a block; None if it has none.
        mlp_output: Path of the MLP's last linear map inside a block, or of a mixture of experts; None if it has none.
        causal: Whether a token sees only itself and the tokens before it.
        repeats: Whether the model calls its blocks more often than once: consecutive layers share a block.
        requires: Settings of the configuration that must have these values for the paths to be right.
    """

    embedding: str
    blocks: str
    attention_output: str | None = None
    mlp_output: str | None = None
    causal: bool = True
    repeats: bool = False
    requires: Mapping[str, object] = field(default_factory=dict)


_BERT_LIKE = Architecture(
    "embeddings.word_embeddings", "encoder.layer", "attention.output.dense", "output.dense", causal=False
)
_LLAMA_LIKE = Architecture("embed_tokens", "layers", "self_attn.o_proj", "mlp.down_proj")
_MIXTURE = Architecture("embed_tokens", "layers", "self_attn.o_proj", "mlp")

# The decoder of an encoder with a decoder, alone.
_DECODER = Architecture("decoder.embed_tokens", "decoder.layers", "self_attn.out_proj", "fc2")

# The key is the `model_type` of the configuration.
_ARCHITECTURES: dict[str, Architecture] = {
    # Encoders.
    "albert": Architecture(
        "embeddings.word_embeddings",
        "encoder.albert_layer_groups",
        "albert_layers.0.attention.dense",
        "albert_layers.0.ffn_output",
        causal=False,
        repeats=True,
        requires={"inner_group_num": 1},
    ),
    "xlm-roberta": _BERT_LIKE,
    "xlm-roberta-xl": _BERT_LIKE,
    "camembert": _BERT_LIKE,
    "electra": _BERT_LIKE,
    "ernie": _BERT_LIKE,
    "roberta-prelayernorm": _BERT_LIKE,
    "data2vec-text": _BERT_LIKE,
    "megatron-bert": _BERT_LIKE,
    "rembert": _BERT_LIKE,
    "roformer": _BERT_LIKE,
    "deberta": _BERT_LIKE,
    "deberta-v2": _BERT_LIKE,
    "mpnet": Architecture(
        "embeddings.word_embeddings", "encoder.layer", "attention.attn.o", "output.dense", causal=False
    ),
    "modernbert": Architecture("embeddings.tok_embeddings", "layers", "attn.Wo", "mlp.Wo", causal=False),
    "eurobert": Architecture("embed_tokens", "layers", "self_attn.o_proj", "mlp.down_proj", causal=False),
    # Decoders.
    **dict.fromkeys(("bart", "mbart", "blenderbot", "marian", "pegasus"), _DECODER),
    "biogpt": Architecture("embed_tokens", "layers", "self_attn.out_proj", "fc2"),
    "ctrl": Architecture("w", "h", "multi_head_attention.dense", "ffn.2"),
    "diffllama": _LLAMA_LIKE,
    "helium": _LLAMA_LIKE,
    "ministral": _LLAMA_LIKE,
    "persimmon": Architecture("embed_tokens", "layers", "self_attn.dense", "mlp.dense_4h_to_h"),
    # A language model inside a model that also reads images.
    "qwen3_5": Architecture(
        "language_model.embed_tokens", "language_model.layers", "self_attn.o_proj", "mlp.down_proj"
    ),
    # Mixtures of experts.
    "dots1": _MIXTURE,
    "phimoe": _MIXTURE,
}


_TWO_STACKS = (
    "is an encoder-decoder model: it has two stacks of blocks, so a layer's number names two blocks; choose a model "
    "that is an encoder or a decoder alone"
)
# Model types that no entry can describe, and the reason.
_REFUSED: dict[str, str] = {
    "youtu": "is refused: transformers sets the embedding of its padding token to zero whenever it loads one, so a "
    "saved student would not come back as it was; use another architecture",
}


def refusal_of(config: PreTrainedConfig, model: PreTrainedModel | None = None) -> str | None:
    """Why a model cannot be used, to be written after its name; None if it can be, as far as is known.

    The configuration of a decoder that was saved alone says that it has no encoder, and a head that needs both stacks
    can be made from it; so if the model itself is given, its modules count too.
    """
    two_stacks = config.is_encoder_decoder or (model is not None and _has_two_stacks(model))
    return _TWO_STACKS if two_stacks else _REFUSED.get(config.model_type)


def _has_two_stacks(model: PreTrainedModel) -> bool:
    return all(isinstance(getattr(model.base_model, stack, None), nn.Module) for stack in ("encoder", "decoder"))


def register_architecture(model_type: str, architecture: Architecture) -> None:
    """Add an architecture, or replace the entry of a known type.

    The models are stock ones: registered with transformers' auto classes, with `hidden_size`, `num_hidden_layers`,
    `num_attention_heads` and `vocab_size` in their configuration. The entry is checked by measuring every model.

    Args:
        model_type: The `model_type` of the models' configuration.
        architecture: The paths of the modules in models of this type.
    """
    _ARCHITECTURES[model_type] = architecture


def architecture_of(model_type: str) -> Architecture | None:
    """The entry of a type of models; None if only TransformerLens may know it."""
    return _ARCHITECTURES.get(model_type)
