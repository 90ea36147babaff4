"""The inputs and checks by which a stock model reads a padded or packed row as it reads the row alone.

Stock decoders count positions from the edge of the padded row: padded on the left, GPT-2 would see every token at a
shifted position. And they expect one document per row: in a packed row each token would attend to earlier documents.
Heads of decoders find a row's last token by the padding id of the configuration, whatever the attention mask says.
"""

import inspect
import sys
from functools import cache
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask

from causalkd.models.hooks.forward import Inputs

# Their stock forward passes count positions from the attention mask.
_COUNT_THEMSELVES = ("opt",)
# Decoders that count positions from the edge of the row and take no others, or in which padding enters a convolution.
_PADDED_ON_THE_RIGHT = ("bart", "mbart", "blenderbot", "marian", "pegasus", "roformer", "recurrent_gemma")
# Decoders that expand the mask of a row themselves, whatever shape it has.
_TAKE_A_MASK_OF_ROWS = ("openai-gpt",)
# Outputs that a configuration can ask for, and that nothing here reads.
_FURTHER_OUTPUTS = ("output_attentions", "output_hidden_states", "output_router_logits")
# Implementations that take a mask of every query and key.
_TAKE_ANY_MASK = ("eager", "sdpa")
# Attention to some of the tokens before, by the configuration's name for how many at most.
_LOCAL = {
    "sliding_attention": "sliding_window",
    "chunked_attention": "attention_chunk_size",
    "indexed_attention": "index_topk",
}
# Kinds of layers in which nothing but attention reads other tokens.
_WITHOUT_STATE = {"full_attention", *_LOCAL, "moe", "mlp"}


def _mask_in_float32_too(*args: Any, **named: Any) -> Float[Tensor, "batch 1 query key"] | None:
    """Transformers' mask of eager attention, with numbers that are finite in float32.

    Eager attention computes its softmax in float32. A mask with float64's least number becomes -inf there, and padding
    before a row, which sees no token, becomes NaN, which the next block hands on to the row's own tokens. So the mask
    uses float32's least number. Positions that see a token stay the same to the last bit, so this can hold for every
    model of the process.
    """
    mask = eager_mask(*args, **named)
    return mask if mask is None or mask.dtype != torch.float64 else mask.clamp_(min=torch.finfo(torch.float32).min)


AttentionMaskInterface.register("eager", _mask_in_float32_too)


def complete(inputs: Inputs) -> Inputs:
    """The inputs with an `attention_mask`: without one, every token is real.

    Raises:
        ValueError: There are no rows of token ids, or the mask has another shape.
    """
    ids, mask = inputs.get("input_ids"), inputs.get("attention_mask")
    if ids is None or ids.ndim != 2 or not ids.numel():
        found = "missing" if ids is None else f"of shape {tuple(ids.shape)}"
        raise ValueError(f"input_ids are {found}; give token ids of shape (batch, pos), with at least one row")
    if mask is not None and mask.shape != ids.shape:
        raise ValueError(
            f"attention_mask has shape {tuple(mask.shape)} and input_ids {tuple(ids.shape)}; a mask has one number for "
            "each token"
        )
    return inputs if mask is not None else {**inputs, "attention_mask": torch.ones_like(ids)}


def forward_options(model: PreTrainedModel) -> dict[str, bool]:
    """The arguments of a stock forward pass besides its inputs, by which it returns only outputs that are read here.

    A decoder would build a key-value cache. A configuration can ask for further outputs, some of which are collected
    from every block, or for a tuple.
    """
    taken = inspect.signature(model.forward).parameters
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values())
    config = model.config.get_text_config()
    options = {"use_cache": False} if "use_cache" in taken else {}
    wanted = [name for name in _FURTHER_OUTPUTS if getattr(config, name, None) or getattr(model.config, name, None)]
    options |= {name: False for name in wanted if name in taken or takes_any}
    # Whether or not its signature says so, every class of transformers takes this argument.
    return options if model.config.return_dict else options | {"return_dict": True}


def stock_inputs(model: PreTrainedModel, inputs: Inputs, *, decodes: bool) -> Inputs:
    """The arguments of a stock forward pass for some inputs.

    A decoder's `position_ids`, unless they are given, count from the first real token; with `documents` from the first
    of each, and attention stays inside each.

    Args:
        model: The stock model.
        inputs: `input_ids`, `attention_mask`, …, perhaps `documents`: (batch, pos), the number of a token's document
            from 1, 0 at padding.
        decodes: Whether the model is a decoder; others get the inputs unchanged.

    Raises:
        ValueError: Rows are packed and this model's attention cannot be kept inside documents, or rows are padded on
            the left and this decoder cannot read them.
    """
    inputs = _with_own_padding(model, inputs, decodes)
    packed = "documents" in inputs
    if packed:
        _check_packable(model, inputs["documents"].shape[1], decodes=decodes)
    if not decodes:
        return inputs
    real = inputs["attention_mask"].bool()
    check_padding(model, real)
    if not packed:
        has_positions = "position_ids" in inputs
        if has_positions or model.config.model_type in _COUNT_THEMSELVES or not _takes_positions(model):
            return inputs
        position = torch.arange(real.shape[1], device=real.device)
        position = (position - real.long().argmax(1, keepdim=True)).clamp(min=0)
        return {**inputs, "position_ids": position + _first_position(model)}
    documents = inputs["documents"]
    sees = _inside_documents(documents, real)
    # Eager attention adds the mask to its scores.
    mask = sees if model.config._attn_implementation == "sdpa" else _as_summand(sees, model.dtype)
    given = {name: tensor for name, tensor in inputs.items() if name != "documents"}
    positions = _positions_in_documents(documents) + _first_position(model)
    return {**given, "position_ids": positions, "attention_mask": mask}


def n_embeddings(model: PreTrainedModel) -> int:
    """The number of tokens that a model has embeddings of, even if it holds only its part of the weights."""
    embedding = model.get_input_embeddings()
    assert isinstance(embedding.weight, Tensor)
    return getattr(embedding, "num_embeddings", len(embedding.weight))


def padding_id(model: PreTrainedModel) -> int | None:
    """The token that a model's configuration says is padding; None if it names none of its vocabulary."""
    named = getattr(model.config.get_text_config(), "pad_token_id", None)
    return named if isinstance(named, int) and 0 <= named < n_embeddings(model) else None


def complete_padding(model: PreTrainedModel, token: int) -> None:
    """Writes a padding id into the configuration of a model that has none.

    Raises:
        ValueError: The model has no embedding of this token, with which rows will be filled up.
    """
    if token >= n_embeddings(model):
        raise ValueError(
            f"{type(model).__name__} has embeddings of {n_embeddings(model)} tokens, not of the padding token {token}; "
            f"give it more, by resize_token_embeddings({token + 1}), or use its end token for padding"
        )
    if padding_id(model) is None:
        model.config.pad_token_id = model.config.get_text_config().pad_token_id = token


def most_tokens(model: PreTrainedModel) -> int:
    """The most tokens that a row may have, by the model's configuration; `sys.maxsize` if that sets no bound."""
    config = model.config.get_text_config()
    named = (getattr(config, name, None) for name in ("max_position_embeddings", "max_seq_len"))
    most = next((number for number in named if number is not None), None)
    return sys.maxsize if most is None else most - _first_position(model)


def takes_left_padding(model: PreTrainedModel, *, decodes: bool) -> bool:
    """Whether a model reads a row that is padded on the left as it reads the row alone.

    Encoders count positions from the edge of the row, and their heads look at its first token.
    """
    return decodes and model.config.model_type not in _PADDED_ON_THE_RIGHT


def check_padding(model: PreTrainedModel, real: Bool[Tensor, "batch pos"]) -> None:
    """Refuses rows that are padded on the left, for a decoder that would read them differently from the rows alone.

    Raises:
        ValueError: A row begins with padding.
    """
    if not takes_left_padding(model, decodes=True) and not bool(real[:, 0].all()):
        raise ValueError(
            f"a row is padded on the left, which a {model.config.model_type} decoder reads differently from the row "
            "alone; pad rows on the right, and generate from prompts of one length"
        )


def _with_own_padding(model: PreTrainedModel, inputs: Inputs, decodes: bool) -> Inputs:
    """The inputs with the padding id of the configuration after each row, for a head that finds the last token by it.

    Tokens inside a row that the mask hides stay what they are.
    """
    if not decodes or not type(model).__name__.endswith("ForSequenceClassification"):
        return inputs
    padding, named = padding_id(model), getattr(model.config.get_text_config(), "pad_token_id", None)
    if padding is not None:
        is_row = inputs["attention_mask"].flip(1).cummax(1).values.flip(1).bool()
        return {**inputs, "input_ids": inputs["input_ids"].where(is_row, padding)}
    if named is not None:
        raise ValueError(
            f"pad_token_id of the configuration is {named}, which is no token of {type(model).__name__}, and its head "
            "finds the last token of a row by it; set it to the tokenizer's"
        )
    return inputs  # of which the stock head takes one row alone


def _takes_positions(model: PreTrainedModel) -> bool:
    """Whether the stock forward, or the body's, has positions among its arguments: some know only distances."""
    return _has_position_ids(type(model)) or _has_position_ids(type(model.base_model))


@cache
def _has_position_ids(module: type[torch.nn.Module]) -> bool:
    return "position_ids" in inspect.signature(module.forward).parameters


def _first_position(model: PreTrainedModel) -> int:
    """The number of a text's first position: RoBERTa and its kin count from the one after that of padding."""
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return 0 if padding is None else padding + 1


def _positions_in_documents(documents: Int[Tensor, "batch pos"]) -> Int[Tensor, "batch pos"]:
    position = torch.arange(documents.shape[1], device=documents.device).expand_as(documents)
    begins = torch.nn.functional.pad(documents[:, 1:] != documents[:, :-1], (1, 0), value=True)
    return position - (position * begins).cummax(1).values


def _inside_documents(
    documents: Int[Tensor, "batch pos"], real: Bool[Tensor, "batch pos"]
) -> Bool[Tensor, "batch 1 pos pos"]:
    """Whether a token (third dimension) attends to another (fourth): an earlier one of its document, or itself."""
    size = documents.shape[1]
    earlier = torch.ones(size, size, dtype=torch.bool, device=documents.device).tril()
    itself = torch.eye(size, dtype=torch.bool, device=documents.device)  # so that padding attends to something
    return ((documents[:, :, None] == documents[:, None, :]) & earlier & real[:, None, :] | itself)[:, None]


def _as_summand(sees: Bool[Tensor, "*shape"], dtype: torch.dtype) -> Float[Tensor, "*shape"]:
    return torch.zeros(sees.shape, dtype=dtype, device=sees.device).masked_fill(~sees, torch.finfo(dtype).min)


def _check_packable(model: PreTrainedModel, tokens: int, *, decodes: bool) -> None:
    config = model.config
    if not decodes:
        raise ValueError(f"rows are packed, and {config.model_type} reads a row as one text; turn packing off")
    implementation = config._attn_implementation
    if implementation not in _TAKE_ANY_MASK:
        raise ValueError(
            f"rows are packed, and {implementation} attention cannot be kept inside the documents of a row; load the "
            f"model with attention='sdpa', or turn packing off"
        )
    if config.model_type in _TAKE_A_MASK_OF_ROWS:
        raise ValueError(
            f"rows are packed, and {config.model_type} takes one mask for all tokens of a row, by which documents "
            "cannot be kept apart; turn packing off"
        )
    if not _takes_positions(model):
        raise ValueError(
            f"rows are packed, and {config.model_type} takes no positions, so tokens of different documents in a row "
            "would see each other; turn packing off"
        )
    kinds = _kinds(model)
    if carried := sorted(kinds - _WITHOUT_STATE):
        raise ValueError(
            f"rows are packed, and {config.model_type} has layers ({', '.join(carried)}) in which a document would run "
            "on in the next one, whatever the attention mask says; turn packing off"
        )
    window = attention_window(model)
    if window is not None and window < tokens:
        raise ValueError(
            f"rows of {tokens} tokens are packed, and {config.model_type} has layers in which a token attends to at "
            f"most {window}, which a packed row's mask would widen; make rows at most {window} tokens long, or turn "
            "packing off"
        )


def attention_window(model: PreTrainedModel) -> int | None:
    """The number of tokens that a token attends to in the layers where it is least; None if it attends to all."""
    config, kinds = model.config.get_text_config(), _kinds(model)
    # Without a list of kinds, all layers are of the one that the configuration has a size for.
    sizes = (getattr(config, size, None) for kind, size in _LOCAL.items() if kind in kinds or not kinds)
    return min((size for size in sizes if size), default=None)


def _kinds(model: PreTrainedModel) -> set[str]:
    return set(getattr(model.config.get_text_config(), "layer_types", None) or ())
