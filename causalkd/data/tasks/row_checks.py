"""Check that values can be read as a text, a label, words, answers or messages; all faults of a table at once."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

from causalkd.data.tasks.labels import is_missing
from causalkd.data.tasks.messages import says_nothing

_NOT_READ = ("tool_calls", "tool_call_id", "function_call", "tools", "functions", "reasoning_content", "reasoning")
_NOT_READ += ("thinking", "images", "audio", "videos", "name")
"""Keys of a turn that a chat template would write, besides role and content; other keys describe the turn."""
_LEARNT = ("weight", "loss", "train")
"""The key that says whether a turn is trained on, as 0 or 1."""
_NO_KEYS = dict.fromkeys((*_NOT_READ, *_LEARNT))
_SHOWN = 5


def check_rows(
    roles: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[Any]],
    origin: str,
    numbers: Sequence[int] | None = None,
) -> None:
    """Checks every value of the columns by what each column means; `numbers` are those of the rows, if not 0, 1, ….

    Words need as many tags. Raises one ValueError that names file, rows (from 1) and column of the values that cannot
    be read so; rows with the same fault are named together.
    """
    faults = []
    for role, column, found in zip(roles, columns, values, strict=True):
        wanted, fits = _CHECKS[role]
        alike: dict[str, list[int]] = {}
        for place, value in enumerate(found):
            if not fits(value):
                alike.setdefault(_unread(value) if role == "messages" else _shown(value), []).append(place)
        if alike:
            lines = [f"{_rows(places, numbers)}, column {column!r}: {what}" for what, places in alike.items()]
            faults.append((next(iter(alike.values()))[0], f"{_first(lines)}, where {wanted} must stand"))
    _refuse([line for _, line in sorted(faults)], origin)
    of_role = dict(zip(roles, values, strict=True))
    if {"words", "tags"} <= set(of_role):
        rows = enumerate(zip(of_role["words"], of_role["tags"], strict=True))
        unequal = [(place, len(words), len(tags)) for place, (words, tags) in rows if len(words) != len(tags)]
        _refuse(
            [f"{_rows([place], numbers)}: {words} word(s) and {tags} tag(s)" for place, words, tags in unequal], origin
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
        f"{_rows([place], numbers)}: the answer {_shown(text)} does not stand in its context at character {start}"
        for place, (context, accepted) in enumerate(zip(contexts, answers, strict=True))
        for start, text in accepted
        if not text or start < 0 or not context.startswith(text, start)
    ]
    _refuse(faults, origin)


def _rows(places: Sequence[int], numbers: Sequence[int] | None) -> str:
    shown = ", ".join(str(1 + (place if numbers is None else numbers[place])) for place in places[:_SHOWN])
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return f"row{'s' if len(places) > 1 else ''} {shown}{more}"


def _first(faults: Sequence[str]) -> str:
    return "; ".join(faults[:_SHOWN]) + (f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else "")


def _refuse(faults: Sequence[str], origin: str) -> None:
    if faults:
        raise ValueError(f"{origin}: {_first(faults)}. Correct or remove these rows")


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)


def _label(value: Any) -> bool:
    return isinstance(value, str | int | float) and not is_missing(value)


def is_score(value: Any) -> bool:
    """Whether a value is a finite number, perhaps as a text."""
    try:
        return _label(value) and isfinite(float(value))
    except (ValueError, OverflowError):
        return False


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
    return not _keys_unread(turn)


def _keys_unread(turn: Mapping[str, Any]) -> list[str]:
    # The assistant's turns are trained on as a whole, and no others are.
    is_learnt = (None, int(turn["role"] == "assistant"))
    found = [key for key in _NOT_READ if not says_nothing(turn.get(key))]
    return found + [key for key in _LEARNT if turn.get(key) not in is_learnt]


def _unread(value: Any) -> str:
    """The keys because of which messages cannot be read; the value itself if it is for another reason."""
    turns = value if isinstance(value, list) else []
    if not turns or not all(isinstance(turn, Mapping) and _message({**turn, **_NO_KEYS}) for turn in turns):
        return _shown(value)
    keys = dict.fromkeys(key for turn in turns for key in _keys_unread(turn))
    return f"a turn with {', '.join(f'`{key}`' for key in keys)}"


_CHECKS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("text", "question", "context", "instruction", "input", "output"), ("a text", _text)),
    "label": ("a label", _label),
    "score": ("a number", is_score),
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
        "conversation and is not read (calls of tools, thoughts, weights of turns),",
        _messages,
    ),
}
