"""Instructions with responses as examples of a causal LM: only the response is labelled."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

from transformers import PreTrainedTokenizerBase

from causalkd.data.batch import IGNORED
from causalkd.data.tasks.encode import encode, special_tokens_around, token_bytes, token_ids
from causalkd.data.tasks.labelled_tokens import LabelledTokens
from causalkd.data.tasks.tokenise import Tokenised
from causalkd.errors import check_choice
from causalkd.files.refusals import refused

PromptStyle = Literal["alpaca", "chat"]
"""The format of an instruction: Stanford Alpaca's plain text, or the tokenizer's own chat template."""

_AT_ONCE = 1000
"""The number of rows that are tokenised at once; what a tokenizer says of a row is far larger than its tokens."""
_WITH_INPUT = """Below is an instruction that describes a task, paired with an input that provides further context. \
Write a response that appropriately completes the request.

### Instruction:
{instruction}

### Input:
{input}

### Response:
"""
_REPLY = "reply"
_WITHOUT_INPUT = """Below is an instruction that describes a task. \
Write a response that appropriately completes the request.

### Instruction:
{instruction}

### Response:
"""


class Instruction(NamedTuple):
    """A task in words, its input (perhaps empty), and the wanted response."""

    instruction: str
    input: str
    response: str


def prompt_ids(
    rows: Sequence[Instruction], tokenizer: PreTrainedTokenizerBase, style: PromptStyle = "alpaca"
) -> list[list[int]]:
    """The tokens of each row's prompt, up to the start of the response.

    Raises ValueError if a chat template is requested and the tokenizer has none, or it refuses a row, or there is no
    such style.
    """
    check_choice("prompt", style, get_args(PromptStyle))
    if style == "chat":
        return token_ids(tokenizer, [_in_chat(row, tokenizer) for row in rows])
    before, _ = special_tokens_around(tokenizer)
    prompts = [(_WITH_INPUT if row.input else _WITHOUT_INPUT).format(**row._asdict()) for row in rows]
    return [before + ids for ids in token_ids(tokenizer, prompts)]


def reply_end(tokenizer: PreTrainedTokenizerBase, style: PromptStyle = "alpaca") -> list[int]:
    """The labelled tokens after a response, the last of which ends it.

    In a chat they are what the template writes after an assistant's turn, up to the first special token; where it
    writes none, and in every other style, the tokenizer's end token. Raises ValueError where the tokenizer has no end
    token, or as `prompt_ids` does.
    """
    if tokenizer.eos_token is None:
        raise ValueError(
            f"{type(tokenizer).__name__} has no end token, so a model could not learn where a response ends; give the "
            "tokenizer of a causal language model"
        )
    if style == "chat":
        turns = [{"role": "user", "content": _REPLY}, {"role": "assistant", "content": _REPLY}]
        before, _, after = _templated(turns, tokenizer, prompt=False).rpartition(_REPLY)
        (ids,) = token_ids(tokenizer, [after if before else ""])
        added: dict[str, int] = tokenizer.get_added_vocab()  # type: ignore[operator]
        special = {*tokenizer.all_special_ids, *added.values()}
        ends = [place for place, token in enumerate(ids) if token in special]
        if ends:
            return ids[: ends[0] + 1]
    return [tokenizer.get_vocab()[str(tokenizer.eos_token)]]


def instruction_examples(
    rows: Sequence[Instruction], tokenizer: PreTrainedTokenizerBase, max_length: int, style: PromptStyle = "alpaca"
) -> Tokenised:
    """One example per row, labelled at its response and the end after it; segments are `prompt` and `response`.

    Responses are cut to fit. Rows without a token of response, or whose prompt fills the whole length, are left out and
    counted. Raises ValueError where no row remains, the tokenizer has no end token, or as `prompt_ids` does.
    """
    end, cut = reply_end(tokenizer, style), 0

    def kept() -> Iterator[tuple[list[int], list[int], int]]:
        nonlocal cut
        for first in range(0, len(rows), _AT_ONCE):
            some = rows[first : first + _AT_ONCE]
            responses = encode(tokenizer, [row.response for row in some], special=False)
            for row, prompt, response in zip(some, prompt_ids(some, tokenizer, style), responses, strict=True):
                if response.ids and len(prompt) < max_length:
                    ids = (prompt + response.ids + end)[:max_length]
                    cut += len(prompt) + len(response.ids) + len(end) > max_length
                    sizes = token_bytes(tokenizer, response, row.response)
                    yield ids, [IGNORED] * len(prompt) + ids[len(prompt) :], sum(sizes[: max_length - len(prompt)])

    examples = LabelledTokens(kept())
    if not examples:
        raise ValueError(
            f"none of {len(rows)} rows has a response and a prompt shorter than max_length {max_length}. Give a "
            "greater max_length, or rows with responses"
        )
    return Tokenised(examples, cut, left_out=len(rows) - len(examples))


def _in_chat(row: Instruction, tokenizer: PreTrainedTokenizerBase) -> str:
    content = f"{row.instruction}\n\n{row.input}" if row.input else row.instruction
    return _templated([{"role": "user", "content": content}], tokenizer, prompt=True)


def _templated(turns: list[dict[str, str]], tokenizer: PreTrainedTokenizerBase, prompt: bool) -> str:
    """The turns as the template writes them, perhaps with the prefix of the next reply."""
    if tokenizer.chat_template is None:
        raise ValueError(
            f"tokenizer {tokenizer.name_or_path!r} has no chat template, and the prompt style 'chat' needs one. Use "
            "the style 'alpaca', or a tokenizer of a chat model"
        )
    return apply_template(turns, tokenizer, prompt, "a user's message", "correct")


def apply_template(
    turns: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, prompt: bool, what: str, remedy: str
) -> str:
    """The text that a tokenizer's chat template makes of turns.

    Args:
        turns: Roles and contents, in the template's form.
        tokenizer: The tokenizer, which has a template.
        prompt: Whether to add the prefix of the next reply.
        what: The name of the turns in messages.
        remedy: The advice besides correcting the template, up to that word.

    Raises:
        ValueError: The template refuses the turns.
    """
    with refused(
        f"the chat template of {tokenizer.name_or_path!r} refuses {what}",
        f"{remedy} `chat_template` (chat_template.jinja or tokenizer_config.json)",
    ):
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=prompt)
    assert isinstance(text, str)
    return text
