"""Inputs that are wrong in a drawn way: text, values of YAML and JSON, files of folders."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 10**18, -(10**18), 0.5, -0.5, 1e-40, 1e300, float("inf"), float("nan")),
    *("", " ", "x", "~", "..", "/", "a/b", "\x00", "ü" * 300, "$$", "{{ 1 / 0 }}", "middle", "bert", "1e-4"),
    *([], {}, [[]], [None], {"": None}, [1, 2, 3], {"a": {"b": {"c": {}}}}, ["x"] * 50),
)
"""What takes the place of a value."""
_NOISE = "{}[]:,#&*!|>'\"%@`\\\n\t\x00\ufeff🦊 -0"


def mutated(value: Any, drawn: random.Random) -> Any:
    """A copy of a tree of values in which one place is another value, missing, twice there or under another key."""
    value = json.loads(json.dumps(value))
    places = list(_places(value))
    holder, key = drawn.choice(places)
    kind = drawn.randrange(4)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[_text(str(key), drawn)] = holder.pop(key)
    elif kind == 2:
        other, of = drawn.choice(places)
        holder[key] = other[of]
    else:
        holder[key] = drawn.choice(VALUES)
    return value


def mutated_text(text: str, drawn: random.Random) -> str:
    """A text with some characters put in, left out, exchanged or said again."""
    for _ in range(drawn.choice((1, 1, 2, 8))):
        text = _text(text, drawn)
    return text


def mutated_folder(origin: Path, copy: Path, drawn: random.Random) -> str:
    """A copy of a folder in which one file is damaged; says which and how."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(origin, copy)
    path = drawn.choice(sorted(each for each in copy.rglob("*") if each.is_file()))
    whole, kind = path.read_bytes(), drawn.randrange(5)
    cut = drawn.randrange(len(whole) + 1)
    if kind == 0:
        path.unlink()
    elif kind == 1:
        path.write_bytes(whole[:cut])
    elif kind == 2:
        path.write_bytes(whole[:cut] + bytes([drawn.randrange(256)]) + whole[cut + 1 :])
    elif kind == 3 and path.suffix == ".json":
        path.write_text(json.dumps(mutated({"file": json.loads(whole)}, drawn).get("file")))
    elif kind == 3 and path.suffix == ".yaml":
        path.write_text(yaml.safe_dump(mutated(yaml.safe_load(whole), drawn)))
    else:
        path.unlink()
        path.mkdir()
    return f"{path.relative_to(copy)}, damage {kind} at {cut}"


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list) and value[key]:
            yield from _places(value[key])


def _text(text: str, drawn: random.Random) -> str:
    at, kind = drawn.randrange(len(text) + 1), drawn.randrange(4)
    if kind == 0:
        return text[:at] + drawn.choice(_NOISE) + text[at:]
    if kind == 1:
        return text[:at] + text[at + drawn.choice((1, 5, 50)) :]
    if kind == 2:
        return text[:at] + drawn.choice(_NOISE) + text[at + 1 :]
    return text[:at] + text[at : at + drawn.choice((3, 30))] * 2 + text[at:]
