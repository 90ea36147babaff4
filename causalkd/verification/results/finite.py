"""Replacement of values that are not finite in results, since JSON cannot hold them."""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_type_hints

Found = TypeVar("Found")
_OWNERS = (
    "student",
    "model",
    "name",
    "seed",
    "baseline",
    "pair",
    "hook_point",
    "variable",
    "teacher_layer",
    "student_layer",
)
_LEFT_OUT = object()


def finite_or_none(value: Any) -> Any:
    """The value, or None instead of a float that is not finite, which JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def finite(result: Found, names: list[str]) -> Found:
    """The result with None instead of NaN and infinities; rows that require a number there are left out.

    Args:
        result: Frozen dataclasses and tuples of them; it is not itself a row that requires a number.
        names: Receives one line for each such value: its model and its measurement.
    """
    changed = _finite(result, names, "")
    assert changed is not _LEFT_OUT
    return changed


def _finite(value: Any, names: list[str], owner: str) -> Any:
    if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        kept = [_finite(each, names, owner) for each in value]
        same = all(one is other for one, other in zip(kept, value, strict=True))
        return value if same else tuple(each for each in kept if each is not _LEFT_OUT)
    return _finite_fields(value, names, owner) if dataclasses.is_dataclass(value) else value


def _finite_fields(value: Any, names: list[str], owner: str) -> Any:
    owner = " ".join((owner, _owner(value))).strip()
    changes: dict[str, Any] = {}
    for field, may_lack in _fields(type(value)).items():
        found = getattr(value, field)
        named = f"{owner}: {field}" if owner else field
        if isinstance(found, float):
            if not math.isfinite(found):
                names.append(f"{named} is {found}" + ("" if may_lack else ", and its row is left out"))
                changes[field] = None if may_lack else _LEFT_OUT
        elif isinstance(found, Mapping):
            bad = {key for key, each in found.items() if isinstance(each, float) and not math.isfinite(each)}
            names += [f"{named} {key} is {found[key]}" for key in sorted(bad)]
            changes |= {field: {key: None if key in bad else each for key, each in found.items()}} if bad else {}
        else:
            changed = _finite(found, names, named if dataclasses.is_dataclass(found) else owner)
            changes |= {} if changed is found else {field: changed}
    if any(changed is _LEFT_OUT for changed in changes.values()):
        return _LEFT_OUT
    return dataclasses.replace(value, **changes) if changes else value


def _owner(value: Any) -> str:
    known = ((name, getattr(value, name, None)) for name in _OWNERS)
    return ", ".join(f"{name} {found}" for name, found in known if found is not None)


@functools.cache
def _fields(kind: type) -> dict[str, bool]:
    """The fields of a dataclass, and whether each may be None."""
    hints = get_type_hints(kind)
    return {field.name: type(None) in get_args(hints[field.name]) for field in dataclasses.fields(kind)}
