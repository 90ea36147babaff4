"""Convert text to examples: tokenised, cut to length, labelled by token where the task is, with named segments.

Every row keeps its number, and cut rows are counted. The tokenizer must be a fast one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Encoding
from transformers import PreTrainedTokenizerBase

from causalkd.data.batch import IGNORED
from causalkd.data.tasks.encode import AS_GIVEN, RowNames, check_room, encode, token_ids
from causalkd.data.tasks.extents import extents
from causalkd.data.tasks.packed_rows import PackedRows
from causalkd.data.tasks.row_checks import check_answers

_AT_ONCE = 1000
"""The number of rows that are tokenised at once."""


@dataclass(frozen=True)
class Tokenised:
    """Examples, and the counts of what did not fit into them."""

    examples: Sequence[dict[str, Any]]
    truncated: int = 0
    """The number of rows that were cut to the maximum length."""
    lost: int = 0
    """The number of answers, or tagged words, of which no token is left; they count in no loss."""
    left_out: int = 0
    """The number of rows without a labelled token; they are not among the examples."""
    empty: int = 0
    """The number of rows of which a text is empty or blank; they are among the examples."""


def sentence_examples(
    first: Sequence[str],
    second: Sequence[str] | None,
    labels: Sequence[int] | Sequence[float] | Sequence[tuple[int, ...]],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    with_extents: bool = False,
    names: RowNames = AS_GIVEN,
) -> Tokenised:
    """One example a text, or a pair of texts, with one label, or a 0 or 1 for each of several.

    Segments are `text`, or `first` and `second`; the longer text of a pair is cut first. `with_extents` adds
    `extents`, where each token stands in the texts.
    """
    parts, cut, empty = ("text",) if second is None else ("first", "second"), 0, 0
    texts = [first] if second is None else [first, second]

    def made() -> Iterator[dict[str, Any]]:
        nonlocal cut, empty
        encodings = _encodings(first, second, tokenizer, max_length, names)
        for encoding, label, *row in zip(encodings, labels, *texts, strict=True):
            cut += bool(encoding.overflowing)
            empty += not all(map(str.strip, row))
            example = {**_example(encoding, tokenizer, parts), "label": label}
            yield example | ({"extents": extents(encoding, row)} if with_extents else {})

    return Tokenised(PackedRows(made()), cut, empty=empty)


def tag_examples(
    words: Sequence[Sequence[str]],
    tags: Sequence[Sequence[int]],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    with_extents: bool = False,
    names: RowNames = AS_GIVEN,
) -> Tokenised:
    """One example per sentence; a word's tag is the label of its first token, every other token has -100.

    The words are joined by spaces, so that any tokenizer works. Examples also have `tags`, of every word, those
    without a token included, and `words`, the numbers of the words that are labelled; `with_extents` adds `extents`,
    where each token stands in the sentence.
    """
    sentences, cut, lost = [" ".join(sentence) for sentence in words], 0, 0

    def made() -> Iterator[dict[str, Any]]:
        nonlocal cut, lost
        encodings = _encodings(sentences, None, tokenizer, max_length, names)
        for encoding, sentence, row, row_tags in zip(encodings, sentences, words, tags, strict=True):
            first_tokens = _first_tokens(encoding, row)
            label = [IGNORED] * len(encoding.ids)
            for word, token in first_tokens.items():
                label[token] = row_tags[word]
            cut += bool(encoding.overflowing)
            lost += len(row) - len(first_tokens)
            extra = {"label": label, "tags": list(row_tags), "words": sorted(first_tokens)}
            example = _example(encoding, tokenizer, ("text",)) | extra
            yield example | ({"extents": extents(encoding, (sentence,))} if with_extents else {})

    return Tokenised(PackedRows(made()), cut, lost)


def answer_examples(
    questions: Sequence[str],
    contexts: Sequence[str],
    answers: Sequence[Sequence[tuple[int, str]]],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    overlap: int = 128,
    *,
    names: RowNames = AS_GIVEN,
    may_lack: bool | None = None,
) -> Tokenised:
    """One example per window of a question's context, labelled with the first and last token of its answer.

    A context that does not fit beside its question becomes several windows, of which neighbours share `overlap` tokens,
    or half a window if that is less. Therefore every answer of at most that many tokens lies completely in at least one
    window. A window without the answer is labelled with the `null` token, as BERT's release does it: the CLS token if
    the row has one, else the first token. If no window holds all of the answer, all windows of the question are
    labelled (-100, -100), and the question counts as lost.

    `answers` holds the accepted ones of each question, the first for the label, as (character where it starts in the
    context, text); none for a question that its context does not answer. Segments are `first`, the question, and
    `second`, the window. Examples also have `question`, its number; `text`, the whole context; `offsets`, the
    characters of it that each token stands for, (0, 0) elsewhere; `answers`, the accepted texts; `null`; `may_lack`,
    whether questions of the task may have no answer: by default, whether one of these has none.
    Raises ValueError if an answer is not in its context or a question leaves no room.
    """
    check_answers(contexts, answers, "the questions")
    lost, may_lack = 0, not all(answers) if may_lack is None else may_lack

    def made() -> Iterator[dict[str, Any]]:
        nonlocal lost
        windows = _windows(questions, contexts, tokenizer, max_length, overlap, names)
        for number, (encodings, context, accepted) in enumerate(zip(windows, contexts, answers, strict=True)):
            spans = [_answer_tokens(encodings, place, accepted) for place in range(len(encodings))]
            gone = bool(accepted) and not any(spans)
            lost += gone
            for encoding, span in zip(encodings, spans, strict=True):
                null = encoding.ids.index(tokenizer.cls_token_id) if tokenizer.cls_token_id in encoding.ids else 0
                inside = [sequence == 1 for sequence in encoding.sequence_ids]
                extra = {
                    "label": (IGNORED, IGNORED) if gone else span or (null, null),
                    "question": number,
                    "text": context,
                    "offsets": [at if here else (0, 0) for at, here in zip(encoding.offsets, inside, strict=True)],
                    "answers": [text for _, text in accepted],
                    "null": null,
                    "may_lack": may_lack,
                }
                yield _example(encoding, tokenizer, ("first", "second")) | extra

    examples = PackedRows(made())
    empty = sum(
        not (question.strip() and context.strip()) for question, context in zip(questions, contexts, strict=True)
    )
    return Tokenised(examples, lost=lost, empty=empty)


def _batches(*columns: Sequence[Any] | None) -> Iterator[tuple[Any, ...]]:
    """Some rows of each column at a time, of which the first is there; what a tokenizer says of a row is large."""
    assert columns[0] is not None
    for start in range(0, len(columns[0]), _AT_ONCE):
        yield tuple(None if column is None else column[start : start + _AT_ONCE] for column in columns)


def _encodings(
    first: Sequence[str],
    second: Sequence[str] | None,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    names: RowNames,
) -> Iterator[Encoding]:
    """The encoding of each row. Raises ValueError at the end where rows have no token."""
    pair = second is not None
    check_room(max_length - tokenizer.num_special_tokens_to_add(pair=pair) - pair, tokenizer, max_length)
    empty, row = [], 0
    for one, other in _batches(first, second):
        for encoding in encode(tokenizer, one, other, "longest_first", max_length):
            empty += [] if encoding.ids else [row]
            row += 1
            yield encoding
    if empty:
        raise ValueError(f"texts without any token, {names.some(empty)}. Leave them out")


def _windows(
    questions: Sequence[str],
    contexts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    overlap: int,
    names: RowNames,
) -> Iterator[list[Encoding]]:
    """The windows of each question's context, in their order."""
    lengths = [len(ids) for (some,) in _batches(questions) for ids in token_ids(tokenizer, some)]
    rooms = [max_length - tokenizer.num_special_tokens_to_add(pair=True) - length for length in lengths]
    long = [row for row, room in enumerate(rooms) if room < 1]
    if long:
        raise ValueError(
            f"questions that leave no room for their context within max_length {max_length}, {names.some(long)} "
            f"(the longest has {max(lengths)} tokens). Give a greater max_length, or leave them out"
        )
    for some, read, room in _batches(questions, contexts, rooms):
        yield from _windows_of_some(some, read, [min(overlap, own // 2) for own in room], tokenizer, max_length)


def _windows_of_some(
    questions: Sequence[str],
    contexts: Sequence[str],
    strides: Sequence[int],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
) -> list[list[Encoding]]:
    """The windows of some contexts; neighbours share as many tokens as `strides` gives."""
    found: dict[int, list[Encoding]] = {}
    for stride in sorted(set(strides)):  # a tokenizer takes one length for all rows of a call
        rows = [row for row, own in enumerate(strides) if own == stride]
        some, read = ([texts[row] for row in rows] for texts in (questions, contexts))
        encodings = encode(tokenizer, some, read, "only_second", max_length, stride=stride)
        found |= {row: [encoding, *encoding.overflowing] for row, encoding in zip(rows, encodings, strict=True)}
    # A tokenizer that cuts on the left gives the last window first.
    return [sorted(found[row], key=_context_start) for row in range(len(questions))]


def _context_start(window: Encoding) -> int:
    """The character of the context that a window begins with; 0 where it holds none."""
    return next((at[0] for at, own in zip(window.offsets, window.sequence_ids, strict=True) if own == 1), 0)


def _example(encoding: Encoding, tokenizer: PreTrainedTokenizerBase, names: tuple[str, ...]) -> dict[str, Any]:
    sequences = encoding.sequence_ids
    example: dict[str, Any] = {"input_ids": encoding.ids}
    if "token_type_ids" in tokenizer.model_input_names:
        example["token_type_ids"] = encoding.type_ids
    starts = {name: sequences.index(number) for number, name in enumerate(names) if number in sequences}
    stops = {name: starts[name] + sequences.count(number) for number, name in enumerate(names) if name in starts}
    return example | {"segments": {name: (start, stops[name]) for name, start in starts.items()}}


def _first_tokens(encoding: Encoding, words: Sequence[str]) -> dict[int, int]:
    """The first token of each word that has one, where the words were joined by spaces."""
    word_at = [number for number, word in enumerate(words) for _ in range(len(word) + 1)]
    ends, tokens = _word_ends(words), {}
    for token, ((start, stop), sequence) in enumerate(zip(encoding.offsets, encoding.sequence_ids, strict=True)):
        if sequence is None or start == stop:
            continue
        word = word_at[stop - 1]  # the last character: byte-level tokens may start with the space before the word
        if stop <= ends[word]:
            tokens.setdefault(word, token)
    return tokens


def _word_ends(words: Sequence[str]) -> list[int]:
    """The character after each word, where the words were joined by spaces."""
    ends, place = [], -1
    for word in words:
        place += len(word) + 1
        ends.append(place)
    return ends


def _answer_tokens(
    windows: Sequence[Encoding], place: int, answers: Sequence[tuple[int, str]]
) -> tuple[int, int] | None:
    """First and last token of the first answer in one window; None if the window does not hold all of it."""
    if not answers:
        return None
    spans, (start, text) = windows[place].offsets, answers[0]
    stop = start + len(text)
    context = [token for token, sequence in enumerate(windows[place].sequence_ids) if sequence == 1]
    if not context:
        return None
    begun = place > 0 and start < spans[context[0]][0]
    ended = place < len(windows) - 1 and spans[context[-1]][1] < stop
    first = next((token for token in context if spans[token][1] > start), None)
    last = next((token for token in reversed(context) if spans[token][0] < stop), None)
    return None if begun or ended or first is None or last is None or first > last else (first, last)
