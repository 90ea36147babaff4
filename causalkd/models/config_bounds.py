"""Bounds of the sizes of a model: building a larger one would take all memory, or time without end."""

from collections.abc import Mapping
from typing import Any

MOST_LAYERS = 1000
MOST_ENTRIES = 10**7
"""The largest length of a row, width or vocabulary."""


def beyond_bounds(config: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The sizes of a configuration that are beyond the bounds, a line each; `prefix` is written before every key."""
    bounds = {key: MOST_LAYERS if "layers" in key or key == "n_layer" else MOST_ENTRIES for key in config}
    return [
        f"`{prefix}{key}` is {config[key]}, but at most {most:,} is supported; give a smaller number"
        for key, most in bounds.items()
        if isinstance(config[key], int) and config[key] > most
    ]
