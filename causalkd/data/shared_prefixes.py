"""The same texts in the tokens of another tokenizer, and the positions at which both have read the same characters."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from causalkd.data.batch import Inputs, pad
from causalkd.data.tasks.encode import special_tokens_around, token_ids


class SharedPrefixes(NamedTuple):
    """The rows of a batch in other tokens, and the positions up to which both tokenizations have the same text.

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

    A position is in no pair if the other tokenizer has a token that goes on there, or if a token is a part of a
    character. Both tokenizers put their own special tokens around the text, and their own end token between documents
    of a row; positions after the text are in no pair.
    Costs a decoding of every prefix of every row on the host.

    Args:
        inputs: `input_ids` and `attention_mask` of the batch.
        tokenizer: The tokenizer that made them.
        other: The other tokenizer.

    Raises:
        ValueError: The rows are packed, or one has other special tokens inside its text, or the other tokenizer does
            not give a text back, or makes a row that is longer than it allows.
    """
    if "documents" in inputs:
        raise ValueError(
            "the rows are packed, and a teacher of another tokenizer would read on from one document into the next; "
            "turn packing off, or use models of one tokenizer"
        )
    given = [row[real].tolist() for row, real in zip(inputs["input_ids"], inputs["attention_mask"].bool(), strict=True)]
    starts = inputs["attention_mask"].argmax(1).tolist()
    rows = [_Row(tokenizer, ids, _parts(tokenizer, ids)) for ids in given]
    others = [_encoded(other, row.texts) for row in rows]
    padding = other.pad_token_id if isinstance(other.pad_token_id, int) else 0
    padded = pad([{"input_ids": row.ids} for row in others], padding)
    widths = inputs["input_ids"].shape[1], padded["input_ids"].shape[1]
    pairs: list[tuple[int, int]] = []
    for number, (row, read) in enumerate(zip(rows, others, strict=True)):
        ends, other_ends = row.ends(row.texts), read.ends(row.texts)
        first = number * widths[0] + starts[number], number * widths[1]
        shared = sorted(ends.keys() & other_ends.keys())
        pairs += [(first[0] + ends[end], first[1] + other_ends[end]) for end in shared]
    device = inputs["input_ids"].device
    ours, theirs = torch.tensor(pairs, dtype=torch.long, device=device).reshape(-1, 2).T.contiguous()
    return SharedPrefixes({name: each.to(device) for name, each in padded.items()}, ours, theirs)


class _Row(NamedTuple):
    """A row of tokens, and the begin and end of the text of each of its documents, between special tokens."""

    tokenizer: PreTrainedTokenizerBase
    ids: list[int]
    parts: list[tuple[int, int]]

    @property
    def texts(self) -> list[str]:
        """The text of each document."""
        return [_decoded(self.tokenizer, self.ids[start:stop]) for start, stop in self.parts]

    def ends(self, texts: Sequence[str]) -> dict[tuple[int, int], int]:
        """The position of the last token of every prefix of a text that consists of whole tokens, by the number of the
        text and the prefix's length.
        """
        found = {}
        for number, (text, (start, stop)) in enumerate(zip(texts, self.parts, strict=True)):
            found |= {(number, 0): start - 1} if start else {}
            for place in range(start, stop):
                prefix = _decoded(self.tokenizer, self.ids[start : place + 1])
                if text.startswith(prefix):
                    found[number, len(prefix)] = place
        return found


def _parts(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> list[tuple[int, int]]:
    """The begins and ends of the documents of a row, which end tokens divide."""
    special = set(tokenizer.all_special_ids)
    plain = [place for place, each in enumerate(ids) if each not in special]
    start, stop = (plain[0], plain[-1] + 1) if plain else (len(ids), len(ids))
    inside = [place for place in range(start, stop) if ids[place] in special]
    if any(ids[place] != tokenizer.eos_token_id for place in inside):
        raise ValueError(
            f"the row {_decoded(tokenizer, ids)[:60]!r} has special tokens inside its text, as of a chat template or "
            "of words that the tokenizer does not know, which another tokenizer lacks; use models of one tokenizer"
        )
    return [(before + 1, end) for before, end in pairwise([start - 1, *inside, stop])]


def _encoded(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> _Row:
    """The row of the other tokenizer, with its own end token between documents."""
    before, after = special_tokens_around(tokenizer)
    between = [] if tokenizer.eos_token is None else [tokenizer.get_vocab()[str(tokenizer.eos_token)]]
    ids, parts = list(before), []
    for number, text in enumerate(texts):
        ids += between if number else []
        parts.append((len(ids), len(ids) + len(tokens := token_ids(tokenizer, [text])[0])))
        ids += tokens
    row = _Row(tokenizer, ids + list(after), parts)
    for text, given in zip(texts, row.texts, strict=True):
        if given != text:
            raise ValueError(
                f"the tokenizer of the teacher gives {given[:60]!r} back for {text[:60]!r}, so its positions cannot be "
                "found in the text; use a teacher whose tokenizer keeps every character"
            )
    if len(row.ids) > tokenizer.model_max_length:
        raise ValueError(
            f"a row has {len(row.ids)} tokens of the teacher, whose tokenizer allows {tokenizer.model_max_length}; "
            "give a smaller max_length"
        )
    return row


def _decoded(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    text = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text
