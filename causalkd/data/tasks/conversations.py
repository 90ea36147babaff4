"""Conversations as examples of a causal LM: the assistant's turns are labelled, as the chat template writes them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from causalkd.data.batch import IGNORED
from causalkd.data.tasks.encode import AS_GIVEN, RowNames, encode, token_bytes
from causalkd.data.tasks.instructions import apply_template
from causalkd.data.tasks.labelled_tokens import LabelledTokens
from causalkd.data.tasks.tokenise import Tokenised


def conversation_examples(
    conversations: Sequence[Sequence[Mapping[str, str]]],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    names: RowNames = AS_GIVEN,
) -> Tokenised:
    """One example per conversation, labelled at the assistant's turns and the template's tokens after each of them.

    Rows are cut to fit; those without a labelled token left are left out and counted. Segments are `prompt`, up to
    the first labelled token, and `response`. Raises ValueError if there is no template, or it refuses a row or does not
    write a turn of it, such as one of a tool.
    """
    cut = 0

    def kept() -> Iterator[tuple[list[int], list[int], int]]:
        nonlocal cut
        for number, messages in enumerate(conversations):
            text, spans = _written(messages, tokenizer, f"row {names.number(number)}{names.of}")
            (encoding,) = encode(tokenizer, [text], special=False)
            labels = [
                token if any(_within(text, offsets, span) for span in spans) else IGNORED
                for token, offsets in zip(encoding.ids, encoding.offsets, strict=True)
            ]
            # Nothing is before a first token to predict it from.
            ids, labels = encoding.ids[:max_length], [IGNORED, *labels[1:max_length]]
            if any(label != IGNORED for label in labels):
                cut += len(encoding.ids) > max_length
                sizes = token_bytes(tokenizer, encoding, text)[:max_length]
                learnt = (size for size, label in zip(sizes, labels, strict=True) if label != IGNORED)
                yield ids, labels, sum(learnt)

    examples = LabelledTokens(kept())
    return Tokenised(examples, cut, left_out=len(conversations) - len(examples))


def _within(text: str, offsets: tuple[int, int], span: tuple[int, int]) -> bool:
    """Whether a token is of an assistant's turn; a space before its word may be the end of the prompt."""
    first, last = offsets
    word = first + len(text[first:last]) - len(text[first:last].lstrip())
    return span[0] <= (word if word < last else first) and last <= span[1] and first < last


def _written(
    messages: Sequence[Mapping[str, str]], tokenizer: PreTrainedTokenizerBase, row: str
) -> tuple[str, list[tuple[int, int]]]:
    """The text of a conversation, and the characters of the assistant's turns in it."""
    if tokenizer.chat_template is None:
        raise ValueError(
            f"tokenizer {tokenizer.name_or_path!r} has no chat template, and conversations need one. Use the tokenizer "
            "of a chat model"
        )
    turns: list[dict[str, Any]] = [{"role": turn["role"], "content": turn["content"]} for turn in messages]
    spans, text = [], _templated(turns, tokenizer, row, prompt=False)
    for number, turn in enumerate(turns):
        if turn["role"] == "assistant":
            before = _templated(turns[:number], tokenizer, row, prompt=True)
            after = _templated(turns[: number + 1], tokenizer, row, prompt=False)
            if not after.startswith(before) or not text.startswith(after):
                raise ValueError(
                    f"the chat template of {tokenizer.name_or_path!r} changes earlier turns of {row} when "
                    "later ones follow, so the assistant's tokens cannot be located. Give conversations "
                    "of one reply, or another template"
                )
            spans.append((len(before), len(after)))
        elif turn["content"].strip() not in text:  # escaped perhaps, as in JSON
            without = [*turns[:number], turn | {"content": ""}, *turns[number + 1 :]]
            if _templated(without, tokenizer, row, prompt=False) == text:
                raise ValueError(
                    f"the chat template of {tokenizer.name_or_path!r} does not write turn {number + 1} of {row}, whose "
                    f"role is {turn['role']!r}, so the model would learn replies to what it has not read. Leave out "
                    "such rows or turns, or give another template"
                )
    return text, spans


def _templated(turns: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, row: str, prompt: bool) -> str:
    return apply_template(turns, tokenizer, prompt, row, "leave the row out, or correct")
