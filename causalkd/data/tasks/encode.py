"""Texts to tokens by a fast tokenizer, with or without special tokens, and how many tokens a row has room for."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from tokenizers import Encoding
from transformers import PreTrainedTokenizerBase

from causalkd.files.refusals import refused


def room_for_blocks(tokenizer: PreTrainedTokenizerBase, max_length: int) -> int:
    """Tokens of text in a row of `max_length` besides its special tokens; ValueError if there are none."""
    before, after = special_tokens_around(tokenizer)
    size = max_length - len(before) - len(after)
    check_room(size, tokenizer, max_length)
    return size


def token_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text, without special ones around them."""
    return [encoding.ids for encoding in encode(tokenizer, texts, special=False)]


def token_bytes(tokenizer: PreTrainedTokenizerBase, encoding: Encoding, text: str) -> list[int]:
    """The UTF-8 bytes of a text that each of its tokens represents, whatever the tokenizer makes of their characters.

    Characters between two tokens, such as a space without a token, belong to the second, and those after the last token
    to the last; a character of several tokens belongs to the first. Special tokens that the text names have no bytes.
    """
    offsets, ids = encoding.offsets, encoding.ids
    ends = np.maximum.accumulate([0, *(stop for _, stop in offsets)])
    ends[1:][-1:] = len(text)
    if not text.isascii():
        codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
        widths = 1 + (codes >= 1 << 7).astype(int) + (codes >= 1 << 11) + (codes >= 1 << 16)
        ends = np.concatenate([[0], widths.cumsum()])[ends]
    sizes, special = np.diff(ends).tolist(), set(tokenizer.all_special_ids)
    for place in (place for place, token in enumerate(ids) if token in special):
        # If the text does not name it, it is the token of a word that the tokenizer does not know.
        if text[slice(*offsets[place])].strip() == tokenizer.convert_ids_to_tokens(ids[place]):
            sizes[place] = 0
    return sizes


def unknown_share(tokenizer: PreTrainedTokenizerBase, rows: Iterable[Sequence[int]]) -> float:
    """The share of unknown tokens among the tokens of some rows, without special ones."""
    unknown = tokenizer.unk_token_id
    special = [token for token in tokenizer.all_special_ids if token != unknown]
    tokens = [token for row in rows for token in row if token not in special]
    return sum(token == unknown for token in tokens) / len(tokens) if tokens else 0.0


def special_tokens_around(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer puts before and after a text.

    Raises:
        ValueError: The tokenizer is not a fast one, or makes no token of any word of its vocabulary.
    """
    for text in _short_texts(tokenizer):
        try:
            probe = encode(tokenizer, [text])[0]
        except ValueError:
            continue
        inside = [place for place, sequence in enumerate(probe.sequence_ids) if sequence is not None]
        if inside:
            return probe.ids[: inside[0]], probe.ids[inside[-1] + 1 :]
    raise ValueError(
        f"{type(tokenizer).__name__} makes no token of any word of its own vocabulary; name another tokenizer"
    )


def _short_texts(tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """One letter; then the words of the vocabulary: with none for unknown words, as of a genome, "a" has no token."""
    yield "a"
    yield from tokenizer.get_vocab()


def encode(
    tokenizer: PreTrainedTokenizerBase,
    first: Sequence[str],
    second: Sequence[str] | None = None,
    cut: Literal["longest_first", "only_second", "do_not_truncate"] = "do_not_truncate",
    max_length: int | None = None,
    special: bool = True,
    stride: int = 0,
) -> list[Encoding]:
    """Texts, or pairs of texts, as the tokenizer encodes them, with the characters behind every token.

    Raises:
        ValueError: The tokenizer is not a fast one, or a text has a word that it cannot read.
    """
    if not tokenizer.is_fast:
        raise ValueError(
            f"{type(tokenizer).__name__} is not a fast tokenizer, and only those say which token stands for which "
            "characters. Load it with AutoTokenizer, or give the folder of one that has a tokenizer.json"
        )
    if not len(first):  # which the tokenizer itself cannot read
        return []
    pair = None if second is None else list(second)
    with refused(f"{type(tokenizer).__name__} cannot read a text", "name a tokenizer that reads any word"):
        batch = tokenizer(
            list(first),
            pair,
            truncation=cut,
            max_length=max_length,
            stride=stride,
            add_special_tokens=special,
            verbose=False,
        )
    assert batch.encodings is not None
    return batch.encodings


def check_room(room: int, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
    """Refuses a `max_length` that leaves no room for a token of text.

    Raises:
        ValueError: `room` is less than one token.
    """
    if room < 1:
        raise ValueError(
            f"max_length {max_length} leaves no room for text beside the special tokens of {type(tokenizer).__name__}. "
            "Give a greater one"
        )


@dataclass(frozen=True)
class RowNames:
    """The names of rows in messages: their numbers in their file, whichever of them were drawn."""

    origin: str = ""
    numbers: Sequence[int] | None = None
    """The numbers of the rows in the file, from 0; None for 0, 1, …."""

    def number(self, row: int) -> int:
        """The number of a row in its file, from 1."""
        return 1 + (row if self.numbers is None else self.numbers[row])

    def some(self, rows: Sequence[int]) -> str:
        """The first of some rows, how many more there are, and where they came from."""
        more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
        return f"rows {', '.join(str(self.number(row)) for row in rows[:5])}{more}{self.of}"

    @property
    def of(self) -> str:
        """The origin of the rows, written after a row's name."""
        return f" of {self.origin}" if self.origin else ""


AS_GIVEN = RowNames()
"""Rows that are named by their places."""
