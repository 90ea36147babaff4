"""Recipes made from others: `extends`, and changes such as `training.steps=100`."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from causalkd.files.strict_yaml import load_text

LENGTHS = ("steps", "epochs")
"""The keys of a training that say how long it is; each replaces the other."""


def merged(base: Any, change: Any) -> Any:
    """A recipe that extends another: its keys replace those of the other, and keys inside keys likewise.

    A mapping given instead of a list of named items changes the items of these names; null leaves an item out, and a
    name that the list lacks adds an item at its end. `steps` and `epochs` replace each other.
    """
    if isinstance(base, Mapping) and isinstance(change, Mapping):
        has_length = any(change.get(key) is not None for key in LENGTHS)
        replaced = {key for key in LENGTHS if key not in change and has_length}
        kept = {key: value for key, value in base.items() if key not in replaced}
        return {**kept, **{key: merged(base.get(key), value) for key, value in change.items()}}
    if isinstance(base, list) and isinstance(change, Mapping) and all(_name(item) is not None for item in base):
        kept = [merged(item, change[_name(item)]) if _name(item) in change else item for item in base]
        known = {_name(item) for item in base}
        new = {name: value for name, value in change.items() if name not in known and value is not None}
        # A value without keys is refused, with its path, when the recipe is read.
        added = [{"name": name, **value} if isinstance(value, Mapping) else value for name, value in new.items()]
        return [item for item in kept if item is not None] + added
    return change


def apply_change(data: dict[str, Any], change: str) -> None:
    """Puts `a.b.0.c=value` into the data; the value is read as YAML. `*` means every item of a list.

    Raises:
        ValueError: There is no value, it is not YAML, or the data have no such field.
    """
    path, separator, value = change.partition("=")
    if not separator or not path:
        raise ValueError(f"change {change!r} has no value; write KEY.KEY=VALUE, such as training.steps=100")
    try:
        parsed = load_text(value)
    except ValueError:
        raise ValueError(f"change {change!r}: {value!r} is not a YAML value; put text in quotes") from None
    _set(data, path.split("."), parsed, change)


def set_field(data: dict[str, Any], field: str, value: Any) -> None:
    """Puts a value at a dotted field, as `apply_change` does with `field=value`; the value is copied.

    Raises:
        ValueError: The data have no such field.
    """
    _set(data, field.split("."), value, f"{field}={value}")


def _set(data: Any, path: Sequence[str], value: Any, change: str) -> None:
    *parents, last = path
    target = data
    for depth, key in enumerate(parents):
        _check_holds_keys(target, parents[:depth], change)
        if key == "*" and isinstance(target, list):
            for item in target:
                _check_holds_keys(item, parents[: depth + 1], change)
                _set(item, path[depth + 1 :], value, change)
            return
        if isinstance(target, list):
            target = target[_key(target, key, change)]
        else:
            # A key that is present but empty holds no keys yet.
            target[key] = {} if target.get(key) is None else target[key]
            target = target[key]
    _check_holds_keys(target, parents, change)
    target[_key(target, last, change) if isinstance(target, list) else last] = deepcopy(value)


def _check_holds_keys(target: Any, path: Sequence[str], change: str) -> None:
    if not isinstance(target, dict | list):
        raise ValueError(f"change {change!r}: {'.'.join(path)} is {target!r} and holds no keys; remove what follows it")


def _key(items: list[Any], key: str, change: str) -> int:
    """The index of a list item that is given by its number or its name."""
    names = [_name(item) for item in items]
    if key in names:
        return names.index(key)
    if key.isdigit() and int(key) < len(items):
        return int(key)
    named = ", ".join(str(name) for name in names if name is not None)
    raise ValueError(
        f"change {change!r}: {key!r} is not an item of a list of {len(items)}; items are numbered from 0"
        + (f", or named: {named}" if named else "")
    )


def _name(item: Any) -> Any:
    return item.get("name") if isinstance(item, Mapping) else None
