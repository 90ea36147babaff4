"""Bounds of the sizes of a model: building a larger one would take all memory, or time without end."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

MOST_LAYERS = 1000
MOST_POSITIONS = 10**8
"""The largest length of a row."""
MOST_ENTRIES = 10**7
"""The largest width or vocabulary."""

# The first that a key matches holds; other numbers, such as `rope_theta`, are no sizes.
_BOUNDS = (
    (re.compile(r"layers|^n_layer$"), MOST_LAYERS),
    (re.compile(r"position|^n_ctx$|seq_len|length"), MOST_POSITIONS),
    (re.compile(r"size|dim|width|hidden|inner|embd|heads|experts|rank|channels|^n_|^d_"), MOST_ENTRIES),
)


def beyond_bounds(config: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The sizes of a configuration and its parts that are beyond the bounds, a line each.

    `prefix` is written before every key.
    """
    return list(_beyond(config, prefix))


def _beyond(config: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _beyond(value, f"{prefix}{key}.")
        most = next((most for names, most in _BOUNDS if names.search(str(key))), None)
        if isinstance(value, int) and most is not None and value > most:
            yield f"`{prefix}{key}` is {value}, but at most {most:,} is supported; give a smaller number"
