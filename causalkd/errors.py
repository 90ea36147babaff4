"""Helpers for error messages about a user's input (path, given value, nearest valid name), and `read_yaml`."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from causalkd.files.strict_yaml import load_text


def nearest(given: str, valid: list[str]) -> str:
    """The valid name nearest to the given one, as `did you mean …?`; if none is near, all valid names."""
    close = difflib.get_close_matches(given, valid, n=1, cutoff=0.4)
    return f"did you mean {close[0]}?" if close else f"choose one of {', '.join(valid)}"


def check_choice(name: str, given: object, known: Sequence[object]) -> None:
    """Refuses a setting that is not one of the known values, which Python alone does not notice.

    Raises:
        ValueError: The value is unknown; the message lists the known ones.
    """
    if given not in known:
        raise ValueError(f"{name} is {shown(given)}; it is one of {', '.join(map(repr, known))}")


# Characters of a value, of a line and of a message, and the number of faults that are written out.
_VALUE, _LINE, _PAGE, _COUNTED = 200, 500, 2000, 200


def read_yaml(source: str | Path) -> Any:
    """Read the value of a YAML file, or of YAML text: a string with a line break, a `: ` or a leading brace.

    Raises:
        ValueError: The file does not exist or is not text, or not YAML, or too large; the message says where.
    """
    text = str(source)
    if isinstance(source, Path) or not ("\n" in text or ": " in text or text.lstrip().startswith(("{", "["))):
        path = Path(os.path.expanduser(text))
        if not is_file(path):
            raise ValueError(f"{_cut(text)!r} is neither a file nor YAML text; check the path")
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(f"{source} cannot be read: {error}; check that you may read it") from None
        except UnicodeDecodeError as error:
            raise ValueError(f"{source} cannot be read as text: {error}; save it as UTF-8") from None
    return load_text(text)


def is_file(path: Path) -> bool:
    """Whether there is such a file; false for a text that cannot be the name of a file."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a null character
        return False


def listed(headline: str, faults: Sequence[str], bullet: str = "- ") -> str:
    """A message of at most one page: the headline, one fault per line, and the number of faults left out."""
    lines, left = [], _PAGE - len(_cut(headline)) - 50
    for number, fault in enumerate(faults):
        line = bullet + _cut(fault)
        if len(line) > left and number:
            lines.append(f"{bullet}and {len(faults) - number} more; correct these first")
            break
        lines.append(line)
        left -= len(line) + 1
    return "\n".join([f"{_cut(headline)}:", *lines])


def few(names: Sequence[object], most: int = 12) -> str:
    """The first of some names, separated by commas, and how many more there are."""
    shown = ", ".join(map(str, names[:most]))
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def shown(given: object) -> str:
    """A value as Python writes it, cut if it is long, so that a message can go on after it."""
    return _cut(repr(given), _VALUE)


def _cut(text: str, most: int = _LINE) -> str:
    return text if len(text) <= most else f"{text[: most - 40]}… ({len(text) - most + 40:,} more characters)"


def fault_lines(error: ValidationError, model: type[BaseModel], prefix: str = "") -> list[str]:
    """One line for each faulty value, such as `pairs[0].teacher[1].component: …`, in the order of the data.

    Args:
        error: The error that validating data as `model` raised.
        model: The model that was validated.
        prefix: The path of the data inside the user's text.
    """
    lines: dict[str, list[str]] = {}
    found = error.errors(include_url=False)
    # pydantic also calls a list too short when its items have faults; that is not a second fault.
    above = {fault["loc"][:depth] for fault in found for depth in range(len(fault["loc"]))}
    # If keys or a list were given where a text is allowed too, their faults count, and not that they are not a text.
    inside = {fault["loc"][:depth] for fault in found for depth in range(len(fault["loc"]) - 1)}
    faults = [
        fault
        for fault in found
        if not (fault["type"] == "too_short" and fault["loc"] in above)
        and not (
            fault["type"] == "string_type"
            and isinstance(fault["input"], Mapping | list)
            and fault["loc"][:-1] in inside
        )
    ]
    for fault in faults[:_COUNTED]:
        path, owner, value = _locate(fault["loc"], model)
        messages = lines.setdefault(f"{prefix}.{path}".strip("."), [])
        message = _message(fault, owner, value)
        if message not in messages:
            messages.append(message)
    told = [f"{path}: {' or '.join(messages)}" if path else " or ".join(messages) for path, messages in lines.items()]
    return [*told, f"and {len(faults) - _COUNTED} more"] if len(faults) > _COUNTED else told


def _locate(
    location: Sequence[int | str], model: type[BaseModel]
) -> tuple[str, type[BaseModel], type[BaseModel] | None]:
    """The path as the user would write it, the model that has the last key, and the model of the value there."""
    path, owner = "", model
    inside: list[type[BaseModel]] = [model]
    is_named = has_branches = False
    for key in location:
        if isinstance(key, int):
            path += f"[{key}]"
        elif key == "[key]":
            pass  # pydantic's mark of a fault in the name itself
        elif is_named:
            path, is_named = f"{path}.{key}", False
        elif has_branches:  # pydantic's name for a branch of a union, which the user did not write
            inside, has_branches = [each for each in inside if each.__name__ == key], False
        elif inside:
            owner = inside[0]
            path += f".{key}" if path else key
            field = owner.model_fields.get(key)
            value, is_named = _value_type(None if field is None else field.annotation)
            inside, has_branches = list(_models_in(value)), _has_branches(value)
    return path, owner, inside[0] if inside else None


def _value_type(annotation: Any) -> tuple[Any, bool]:
    """The type of a key's value, and whether the value is below a name that the user gives, as in a mapping."""
    named = get_origin(annotation) is Mapping
    return (get_args(annotation)[1], True) if named else (annotation, False)


def _has_branches(annotation: Any) -> bool:
    is_union = get_origin(annotation) in (Union, UnionType)
    return is_union and len([each for each in get_args(annotation) if each is not type(None)]) > 1


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _message(fault: Any, owner: type[BaseModel], value: type[BaseModel] | None) -> str:
    given, context = fault["input"], fault.get("ctx", {})
    match fault["type"]:
        case "extra_forbidden":
            return f"unknown key; {nearest(str(fault['loc'][-1]), list(owner.model_fields))}"
        case "missing":
            return "missing; this key is required"
        case "literal_error":
            valid = re.findall(r"'([^']*)'", context["expected"])
            return f"{shown(given)} is not valid; {nearest(str(given), valid)}"
        case "string_pattern_mismatch":
            rule = "a name has letters, digits and . _ -, at most 100, and does not begin with . or -"
            return f"{shown(given)} given; {rule}"
        case "value_error":
            return str(context["error"])
        case "tuple_type":
            return f"{shown(given)} given, but this is a list; write it in brackets or as lines that begin with a dash"
        case "model_type" if value is not None:
            return f"{shown(given)} given, but this has keys: {', '.join(value.model_fields)}"
        case _:
            return f"{shown(given)} given; {fault['msg'][0].lower()}{fault['msg'][1:]}"
