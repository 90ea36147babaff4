"""Text of any size as blocks of tokens: read piece by piece and kept in a file, so that little of it is in memory.

A document is a file of text, a row of a table, or a part of a text that starts with a pattern.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np
from transformers import PreTrainedTokenizerBase

from causalkd.data.batch import IGNORED
from causalkd.data.tasks import encode as encoding_module
from causalkd.data.tasks import text_pieces as pieces_module
from causalkd.data.tasks.encode import AS_GIVEN, RowNames, encode, room_for_blocks, special_tokens_around, token_bytes
from causalkd.data.tasks.text_pieces import piece_ends
from causalkd.files.digests import files_digest

_AT_ONCE = 16
"""The number of pieces that are tokenised at once."""
_MADE_BY = files_digest(Path(module) for module in (__file__, encoding_module.__file__, pieces_module.__file__))
"""The version of the code that makes blocks: blocks of other versions, which may still be cached, may differ."""


@dataclass(frozen=True)
class FileText:
    """Text files in UTF-8, in pieces; see `piece_ends`."""

    files: tuple[Path, ...]
    pieces: tuple[tuple[int, int, int], ...]
    """The number of the file, the first byte and the byte after the last, for each piece."""

    @classmethod
    def of(cls, files: Sequence[Path], begins: str | None = None) -> "FileText":
        """The pieces of some files; `begins` is a pattern of the line that begins a document inside one."""
        pieces = [(number, *ends) for number, file in enumerate(files) for ends in piece_ends(file, begins)]
        return cls(tuple(files), tuple(pieces))

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, number: int) -> tuple[str, bool]:
        """A piece's text, and whether a document starts with it."""
        file, start, stop = self.pieces[number]
        with self.files[file].open("rb") as opened:
            opened.seek(start)
            text = opened.read(stop - start).decode("utf-8-sig" if start == 0 else "utf-8")
        return text.replace("\r\n", "\n"), start == 0

    @property
    def key(self) -> str:
        """A fingerprint that changes with the text."""
        return files_digest(self.files)


@dataclass(frozen=True, eq=False)
class RowText:
    """Rows of a table, each a document, or the lines of one long text that a pattern divides into documents."""

    rows: Any
    column: str
    bounds: tuple[int, ...] | None = None
    """The first row of each piece of one long text, and the number of rows; None if each row is a document."""
    names: RowNames = AS_GIVEN

    @classmethod
    def of_lines(cls, rows: Any, column: str, begins: str) -> "RowText":
        """One long text in pieces that begin where the pattern finds a document; the lines, where it finds none."""
        starts = [number for number, line in enumerate(rows[column]) if number and re.match(begins, line, re.MULTILINE)]
        return cls(rows, column, (0, *(starts or range(1, len(rows))), len(rows)))

    def __len__(self) -> int:
        return len(self.rows) if self.bounds is None else len(self.bounds) - 1

    def __getitem__(self, number: int) -> tuple[str, bool]:
        """A piece's text, and whether a document starts with it."""
        if self.bounds is not None:
            return "".join(self.rows[self.bounds[number] : self.bounds[number + 1]][self.column]), False
        text = self.rows[number][self.column]
        if not isinstance(text, str):
            raise ValueError(
                f"row {self.names.number(number)}{self.names.of}, column {self.column!r}: {text!r} is not a text. "
                "Correct or remove the row"
            )
        return text, True

    @property
    def key(self) -> str:
        """A fingerprint that changes with the text."""
        return f"{self.rows._fingerprint} {self.column} {self.bounds is None}"


class MappedExamples(Sequence[dict[str, Any]]):
    """Blocks of tokens in a memory-mapped file, as examples.

    Attributes:
        left_over: The last token of the text if it would be a row of its own with nothing to learn.
    """

    def __init__(self, table: Any, causal: bool, typed: bool):
        self.causal, self.typed = causal, typed
        start, stop = (table[-1]["start"], table[-1]["stop"]) if len(table) else (0, 0)
        # A masked LM has no text around a single token, and a causal LM needs a token before it.
        alone = stop - start == 1 and not (causal and start)
        self.left_over: list[int] = table[-1]["input_ids"][start:stop] if alone else []
        self.table = table.select(range(len(table) - 1)) if alone else table

    def __len__(self) -> int:
        return len(self.table)

    @overload
    def __getitem__(self, number: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, number: slice) -> "MappedExamples": ...
    def __getitem__(self, number: int | slice) -> "dict[str, Any] | MappedExamples":
        if isinstance(number, slice):
            chosen = self.table.select(range(len(self))[number])
            return MappedExamples(chosen, self.causal, self.typed)
        row = self.table[range(len(self))[number]]
        ids = row["input_ids"]
        example: dict[str, Any] = {"input_ids": ids}
        if self.typed:
            example["token_type_ids"] = [0] * len(ids)
        example["segments"] = {"text": (row["start"], row["stop"])}
        if self.causal:
            # Nothing is before a first token to predict it from, except padding in a row padded on the left. An end
            # token after every row is not an end of the text: those of documents are between them.
            first, stop = max(row["start"], 1), row["stop"]
            example["label"] = [IGNORED] * first + ids[first:stop] + [IGNORED] * (len(ids) - stop)
            example["bytes"] = row["bytes"]
        return example


def block_rows(
    text: FileText | RowText,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    causal: bool,
    limit: int | None = None,
    seed: int = 0,
    begins: str | None = None,
) -> MappedExamples:
    """The documents as one stream of tokens, cut into rows of `max_length` that each have the special tokens of a
    text.

    An end-of-sequence token, if the tokenizer has one, separates documents. The last row may be shorter; if it were a
    single token with nothing to learn, it is dropped and kept as `left_over`. With a `limit`, pieces are drawn by
    `seed` and tokenised until they give `limit` rows; a piece is a row of a table, a document found by `begins`, or
    64 KiB of a file. Each drawn piece is a document of its own, and its rows are neighbours. `begins` is a pattern of
    the line that begins a document inside a text.
    """
    from datasets import Dataset, Features, List, Value
    from datasets.exceptions import DatasetGenerationError

    room_for_blocks(tokenizer, max_length)

    def rows() -> Iterator[dict[str, Any]]:
        order = range(len(text)) if limit is None else np.random.default_rng(seed).permutation(len(text)).tolist()
        for made, row in enumerate(_blocks(text, order, tokenizer, max_length, limit is not None, begins)):
            if limit is not None and made >= limit:
                return
            yield row

    backend = getattr(tokenizer, "backend_tokenizer", None)
    # Truncation and padding are a temporary state of the tokenizer, and do not matter here.
    vocabulary = "" if backend is None else re.sub(r'"(truncation|padding)":\{.*?\},', "", backend.to_str())
    parts = (_MADE_BY, text.key, vocabulary, tokenizer.eos_token, max_length, limit, seed, begins)
    fingerprint = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
    number = Value("int32")
    features = Features({"input_ids": List(number), "start": number, "stop": number, "bytes": number})
    try:
        if next(rows(), None) is None:  # datasets does not make a table without rows
            return MappedExamples(Dataset.from_dict({name: [] for name in features}, features), causal, False)
        table = Dataset.from_generator(rows, features=features, fingerprint=fingerprint)
    except (DatasetGenerationError, UnicodeDecodeError) as error:
        cause = error.__cause__ if isinstance(error, DatasetGenerationError) else error
        if isinstance(cause, UnicodeDecodeError):
            raise ValueError(f"a file is not text in UTF-8: {cause}. Convert it") from None
        if isinstance(cause, ValueError):
            raise cause from None
        raise
    assert isinstance(table, Dataset)
    return MappedExamples(table, causal, "token_type_ids" in tokenizer.model_input_names)


def _blocks(
    text: FileText | RowText,
    order: Sequence[int],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    alone: bool,
    begins: str | None,
) -> Iterator[dict[str, Any]]:
    before, after = special_tokens_around(tokenizer)
    size = max_length - len(before) - len(after)
    separator = [] if tokenizer.eos_token is None else [tokenizer.get_vocab()[str(tokenizer.eos_token)]]
    stream: list[int] = []
    sizes: list[int] = []
    begun = False
    at_once = 1000 if isinstance(text, RowText) and text.bounds is None else 1 if alone else _AT_ONCE
    for first in range(0, len(order), at_once):
        parts = [
            part
            for number in order[first : first + at_once]
            for part in _documents(*text[number], alone=alone, begins=begins)
            if part[0].strip() or not part[1]
        ]
        encodings = encode(tokenizer, [part for part, _ in parts], special=False)
        for encoding, (part, starts) in zip(encodings, parts, strict=True):
            between = separator if starts and begun else []
            stream += between + encoding.ids
            sizes += [0] * len(between) + token_bytes(tokenizer, encoding, part)
            begun = begun or bool(encoding.ids)
            whole = len(stream) // size * size
            for start in range(0, whole, size):
                yield _block(stream[start : start + size], sizes[start : start + size], before, after)
            del stream[:whole], sizes[:whole]
    if stream:
        yield _block(stream, sizes, before, after)


def _documents(text: str, starts: bool, *, alone: bool, begins: str | None) -> Iterator[tuple[str, bool]]:
    """The parts of a piece that belong to different documents, and whether each starts one."""
    places = [] if begins is None else [found.start() for found in re.finditer(begins, text, re.MULTILINE)]
    ends = [0, *(place for place in places if place > 0), len(text)]
    for number, (start, stop) in enumerate(pairwise(ends)):
        yield text[start:stop], number > 0 or starts or alone or 0 in places


def _block(ids: Sequence[int], sizes: Sequence[int], before: Sequence[int], after: Sequence[int]) -> dict[str, Any]:
    """A row of tokens, and the bytes of those that a causal LM predicts."""
    predicted = sum(sizes[0 if before else 1 :])
    start, stop = len(before), len(before) + len(ids)
    return {"input_ids": [*before, *ids, *after], "start": start, "stop": stop, "bytes": predicted}
