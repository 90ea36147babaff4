"""The turns of a conversation, in the form of chat templates or in that of ShareGPT."""

from collections.abc import Mapping, Sequence
from typing import Any

from causalkd.data.tasks.encode import RowNames

_SPEAKERS: Mapping[str, str] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
}
"""The role of each speaker of ShareGPT's conversations."""


def as_messages(value: Any) -> Any:
    """Turns with `from` and `value` as messages with `role` and `content`; other values and speakers unchanged."""
    if not isinstance(value, list) or not all(isinstance(turn, Mapping) for turn in value):
        return value
    if not all(turn.get("from") in _SPEAKERS and "role" not in turn for turn in value):
        return value
    return [
        {"role": _SPEAKERS[turn["from"]], "content": turn.get("value")}
        | {key: each for key, each in turn.items() if key not in ("from", "value")}
        for turn in value
    ]


def says_nothing(value: Any) -> bool:
    """Whether a value is absent or empty, perhaps as a text in JSON, such as `[]` or `null`."""
    return not value or (isinstance(value, str) and "".join(value.split()) in ("", "[]", "{}", '""', "null", "None"))


def refuse_tools(tools: Sequence[Any], names: RowNames) -> None:
    """Raises ValueError if a conversation has tools, which a template would describe to the model before it."""
    found = next((place for place, value in enumerate(tools) if not says_nothing(value)), None)
    if found is not None:
        raise ValueError(
            f"row {names.number(found)}{names.of}: the column 'tools' lists functions that the assistant may call, "
            "here and perhaps in other rows. Tools are not supported, and without them the conversations would mean "
            "something else. Remove such rows, or the column"
        )
