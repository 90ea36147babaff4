"""The same texts in the tokens of another tokenizer, and the positions at which both have read the same characters."""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from causalkd.data.batch import Inputs, pad


class SharedPrefixes(NamedTuple):
    """The rows of a batch in other tokens, and where both tokenizations have the same text behind them.

    Attributes:
        inputs: The inputs of a model of the other tokenizer, padded on the right.
        own: Positions in the batch, numbered through its rows.
        other: The position in `inputs` for each of these, numbered through its rows.
    """

    inputs: Inputs
    own: Int[Tensor, " item"]
    other: Int[Tensor, " item"]


def shared_prefixes(
    inputs: Inputs, tokenizer: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase
) -> SharedPrefixes:
    """Encodes the text of each row with another tokenizer, and pairs the positions at which the same characters end.

    A position is in no pair where the other tokenizer has a token that goes on, or where a token is a part of a
    character. Both tokenizers put their own special tokens around the text; what follows the text is in no pair.
    Costs a decoding of every prefix of every row on the host.

    Args:
        inputs: `input_ids` and `attention_mask` of the batch.
        tokenizer: The tokenizer that made them.
        other: The other tokenizer.

    Raises:
        ValueError: A row has special tokens inside its text, or the other tokenizer does not give a text back, or
            makes a row that is longer than it allows.
    """
    given = [row[real].tolist() for row, real in zip(inputs["input_ids"], inputs["attention_mask"].bool(), strict=True)]
    starts = inputs["attention_mask"].argmax(1).tolist()
    texts = [_text(tokenizer, ids) for ids in given]
    rows = [other(text, verbose=False)["input_ids"] for text in texts]
    for ids, text in zip(rows, texts, strict=True):
        _check_row(other, ids, text)
    padding = other.pad_token_id if isinstance(other.pad_token_id, int) else 0
    padded = pad([{"input_ids": ids} for ids in rows], padding)
    widths = inputs["input_ids"].shape[1], padded["input_ids"].shape[1]
    pairs: list[tuple[int, int]] = []
    for number, (ids, others, text) in enumerate(zip(given, rows, texts, strict=True)):
        ends, other_ends = _ends(tokenizer, ids, text), _ends(other, others, text)
        first = number * widths[0] + starts[number], number * widths[1]
        shared = sorted(ends.keys() & other_ends.keys())
        pairs += [(first[0] + ends[end], first[1] + other_ends[end]) for end in shared]
    device = inputs["input_ids"].device
    ours, theirs = torch.tensor(pairs, dtype=torch.long, device=device).reshape(-1, 2).T.contiguous()
    return SharedPrefixes({name: each.to(device) for name, each in padded.items()}, ours, theirs)


def _text(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    start, stop = _inside(tokenizer, ids)
    if any(each in tokenizer.all_special_ids for each in ids[start:stop]):
        raise ValueError(
            f"the row {_decoded(tokenizer, ids)[:60]!r} has special tokens inside its text, which another tokenizer "
            "does not have; turn packing off, or use models of one tokenizer"
        )
    return _decoded(tokenizer, ids[start:stop])


def _check_row(tokenizer: PreTrainedTokenizerBase, ids: list[int], text: str) -> None:
    start, stop = _inside(tokenizer, ids)
    if _decoded(tokenizer, ids[start:stop]) != text:
        raise ValueError(
            f"the tokenizer of the teacher gives {_decoded(tokenizer, ids[start:stop])[:60]!r} back for "
            f"{text[:60]!r}, so its positions cannot be found in the text; use a teacher whose tokenizer keeps every "
            "character"
        )
    if len(ids) > tokenizer.model_max_length:
        raise ValueError(
            f"a row has {len(ids)} tokens of the teacher, whose tokenizer allows {tokenizer.model_max_length}; give a "
            "smaller max_length"
        )


def _inside(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> tuple[int, int]:
    """Where the text begins and ends between the special tokens around it."""
    special = set(tokenizer.all_special_ids)
    plain = [place for place, each in enumerate(ids) if each not in special]
    return (plain[0], plain[-1] + 1) if plain else (len(ids), len(ids))


def _ends(tokenizer: PreTrainedTokenizerBase, ids: list[int], text: str) -> dict[int, int]:
    """The position of the last token of every prefix of the text that consists of whole tokens, by its length."""
    start, stop = _inside(tokenizer, ids)
    found = {0: start - 1} if start else {}
    for place in range(start, stop):
        prefix = _decoded(tokenizer, ids[start : place + 1])
        if text.startswith(prefix):
            found[len(prefix)] = place
    return found


def _decoded(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    text = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text
