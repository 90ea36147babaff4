"""The turns of a conversation, in the form of chat templates or in that of ShareGPT."""

from collections.abc import Mapping, Sequence
from typing import Any

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
    """Turns with `from` and `value` as messages with `role` and `content`; anything else, or anyone else, unchanged."""
    if not isinstance(value, list) or not all(isinstance(turn, Mapping) for turn in value):
        return value
    if not all(turn.get("from") in _SPEAKERS and "role" not in turn for turn in value):
        return value
    return [
        {"role": _SPEAKERS[turn["from"]], "content": turn.get("value")}
        | {key: each for key, each in turn.items() if key not in ("from", "value")}
        for turn in value
    ]


def refuse_tools(tools: Sequence[Any], origin: str) -> None:
    """Raises ValueError where a conversation has tools, which a template would describe to the model before it."""
    found = next((place for place, value in enumerate(tools) if value), None)
    if found is not None:
        raise ValueError(
            f"{origin}: the column 'tools' says what the assistant may call (in row {found + 1} and perhaps others), "
            "which is not read, so the rows would be other conversations. Remove these rows, or the column"
        )
