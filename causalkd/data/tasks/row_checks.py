"""Check that values can be read as a text, a label, words, answers or messages; all faults of a table at once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from causalkd.data.tasks.labels import is_missing
from causalkd.data.tasks.messages import says_nothing

_NOT_READ = ("tool_calls", "tool_call_id", "function_call", "tools", "functions", "reasoning_content", "reasoning")
_NOT_READ += ("thinking", "images", "audio", "videos", "name")
"""Keys of a turn that a chat template would write, besides role and content; other keys describe the turn."""
_LEARNT = ("weight", "loss", "train")
"""The key that says whether a turn is trained on, as 0 or 1."""
_SHOWN = 5


def check_rows(
    roles: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[Any]],
    origin: str,
    numbers: Sequence[int] | None = None,
) -> None:
    """Checks every value of the columns by what each column means; `numbers` are those of the rows, if not 0, 1, ….

    Words need as many tags. Raises one ValueError that names file, row (from 1) and column of the values that cannot be
    read so.
    """
    faults = []
    for role, column, found in zip(roles, columns, values, strict=True):
        wanted, fits = _CHECKS[role]
        for place, value in enumerate(found):
            if not fits(value):
                row = _row(place, numbers)
                faults.append((place, f"{row}, column {column!r}: {_shown(value)}, where {wanted} must stand"))
    _refuse([line for _, line in sorted(faults)], origin)
    of_role = dict(zip(roles, values, strict=True))
    if {"words", "tags"} <= set(of_role):
        rows = enumerate(zip(of_role["words"], of_role["tags"], strict=True))
        unequal = [(place, len(words), len(tags)) for place, (words, tags) in rows if len(words) != len(tags)]
        _refuse(
            [f"{_row(place, numbers)}: {words} word(s) and {tags} tag(s)" for place, words, tags in unequal], origin
        )


def check_answers(
    contexts: Sequence[str],
    answers: Sequence[Sequence[tuple[int, str]]],
    origin: str,
    numbers: Sequence[int] | None = None,
) -> None:
    """Checks that every answer is in its context at the character where it is declared to start.

    Raises one ValueError that names file, row (from 1) and answer of those that do not.
    """
    faults = [
        f"{_row(place, numbers)}: the answer {_shown(text)} does not stand in its context at character {start}"
        for place, (context, accepted) in enumerate(zip(contexts, answers, strict=True))
        for start, text in accepted
        if not text or start < 0 or not context.startswith(text, start)
    ]
    _refuse(faults, origin)


def _row(place: int, numbers: Sequence[int] | None) -> str:
    return f"row {1 + (place if numbers is None else numbers[place])}"


def _refuse(faults: Sequence[str], origin: str) -> None:
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise ValueError(f"{origin}: {'; '.join(faults[:_SHOWN])}{more}. Correct or remove these rows")


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)


def _label(value: Any) -> bool:
    return isinstance(value, str | int | float) and not is_missing(value)


def _labels(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str | int) for each in value)


def _label_set(value: Any) -> bool:
    if not isinstance(value, list) or not all(isinstance(each, str | int) and each != "" for each in value):
        return False
    return len(set(map(str, value))) == len(value)


def _flag(value: Any) -> bool:
    return value in (0, 1, "0", "1")


def _answers(value: Any) -> bool:
    if not isinstance(value, Mapping) or not {"answer_start", "text"} <= set(value):
        return False
    starts, texts = value["answer_start"], value["text"]
    if not isinstance(starts, list) or not isinstance(texts, list) or len(starts) != len(texts):
        return False
    return all(isinstance(start, int) for start in starts) and all(isinstance(text, str) for text in texts)


def _spans(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(start, int) and isinstance(text, str) for start, text in value)


def _messages(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_message, value))


def _message(turn: Any) -> bool:
    if not isinstance(turn, Mapping) or not all(isinstance(turn.get(key), str) for key in ("role", "content")):
        return False
    # The assistant's turns are trained on as a whole, and no others are.
    is_learnt = (None, int(turn["role"] == "assistant"))
    return all(says_nothing(turn.get(key)) for key in _NOT_READ) and all(turn.get(key) in is_learnt for key in _LEARNT)


_CHECKS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("text", "question", "context", "instruction", "input", "output"), ("a text", _text)),
    "label": ("a label", _label),
    "labels": (
        "a list of labels, each once (or a column of 0 and 1 for each label, as `columns: {labels: [a, b, c]}`)",
        _label_set,
    ),
    "flag": ("0 or 1", _flag),
    "words": ("a list of words", _texts),
    "tags": ("a list of tags", _labels),
    "answers": ("answers with lists `answer_start` and `text`", _answers),
    "spans": ("answers as pairs of a start and a text", _spans),
    "messages": (
        "a list of messages with texts as `role` and `content` (or `from` and `value`), and without what changes a "
        "conversation and is not read, such as `tool_calls`, `reasoning_content` or a `weight` of an assistant's turn,",
        _messages,
    ),
}
