"""Faults of declared data in the words of whoever declared it: the path, what was given, the nearest valid name."""

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError


def nearest(given: str, valid: list[str]) -> str:
    """The valid name that looks most like the given one, as `did you mean …?`, or all of them when none does."""
    close = difflib.get_close_matches(given, valid, n=1, cutoff=0.4)
    return f"did you mean {close[0]}?" if close else f"choose one of {', '.join(valid)}"


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is written twice, of which plain YAML silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                mark = node.value[number][0].start_mark
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is written twice", mark)
        return super().construct_mapping(node, deep)


def read_yaml(source: str | Path) -> Any:
    """The value of a YAML file, or of YAML text: a string with a line break, a `: ` or a leading brace.

    Raises:
        ValueError: The file does not exist or is no text, or the text is no YAML; says where.
    """
    text = str(source)
    if isinstance(source, Path) or not ("\n" in text or ": " in text or text.lstrip().startswith(("{", "["))):
        if not Path(source).is_file():
            raise ValueError(f"{text!r} is neither a file nor YAML text; check the path")
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{source} cannot be read as text: {error}") from None
    try:
        return yaml.load(text, _StrictLoader)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        raise ValueError(f"{line}{error.problem or error.context}") from None
    except yaml.YAMLError as error:  # a control character
        raise ValueError(" ".join(str(error).split())) from None


def fault_lines(error: ValidationError, model: type[BaseModel], prefix: str = "") -> list[str]:
    """One line for each faulty value, `pairs[0].teacher[1].component: …`, in the order of the data.

    Args:
        error: What validating data as `model` raised.
        model: The model that was validated.
        prefix: Path of that data inside what the user wrote.
    """
    lines: dict[str, list[str]] = {}
    for fault in error.errors(include_url=False):
        path, owner, value = _locate(fault["loc"], model)
        messages = lines.setdefault(f"{prefix}.{path}".strip("."), [])
        message = _message(fault, owner, value)
        if message not in messages:
            messages.append(message)
    return [f"{path}: {' or '.join(messages)}" if path else " or ".join(messages) for path, messages in lines.items()]


def _locate(
    location: Sequence[int | str], model: type[BaseModel]
) -> tuple[str, type[BaseModel], type[BaseModel] | None]:
    """The path as the user would write it, the model that has the last key, and the model of the value there."""
    path, owner = "", model
    inside: list[type[BaseModel]] = [model]
    for key in location:
        if isinstance(key, int):
            path += f"[{key}]"
        elif inside:
            owner = inside[0]
            path += f".{key}" if path else key
            field = owner.model_fields.get(key)
            inside = [] if field is None else list(_models_in(field.annotation))
        # Anything further is the name pydantic gives to a branch of a union, which the user never wrote.
    return path, owner, inside[0] if inside else None


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
            return f"{given!r} is not valid; {nearest(str(given), valid)}"
        case "value_error":
            return str(context["error"])
        case "tuple_type":
            return f"{given!r} given, but this is a list; write it in brackets or as lines that begin with a dash"
        case "model_type" if value is not None:
            return f"{given!r} given, but this has keys: {', '.join(value.model_fields)}"
        case _:
            return f"{given!r} given; {fault['msg'][0].lower()}{fault['msg'][1:]}"
