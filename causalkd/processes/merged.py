"""The merging of several processes' notes about their shares of the batches into those of one process about all."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from fractions import Fraction
from typing import Any, TypeVar

T = TypeVar("T")


def merged(parts: Sequence[T]) -> T:
    """Puts notes of one kind together, those of the first share first.

    Lists are put end to end, sets are united, mappings are merged key by key, tuples item by item and data classes
    field by field. Fractions and floats are sums, which are added. For anything else the last value is taken, as a
    single process would overwrite it.

    Args:
        parts: The notes of every process, in the order of their shares; at least one.
    """
    first: Any = parts[0]
    rest: Sequence[Any] = parts
    if is_dataclass(first) and not isinstance(first, type):
        values = {field.name: merged([getattr(part, field.name) for part in rest]) for field in fields(first)}
        rebuilt: Any = type(first)(**values)
        return rebuilt
    found: Any = parts[-1]
    if isinstance(first, tuple):
        found = tuple(merged(items) for items in zip(*rest, strict=True))
    elif isinstance(first, list):
        found = [item for part in rest for item in part]
    elif isinstance(first, Fraction | float):
        found = sum(rest)
    elif isinstance(first, set):
        found = set().union(*rest)
    elif isinstance(first, dict):
        keys = dict.fromkeys(key for part in rest for key in part)
        found = {key: merged([part[key] for part in rest if key in part]) for key in keys}
    return found
