"""Inputs that are wrong in a drawn way: text, values of YAML and JSON, files of folders."""

import copy
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

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
        holder[key] = copy.deepcopy(other[of])
    else:
        holder[key] = drawn.choice(VALUES)
    return value


def mutated_text(text: str, drawn: random.Random) -> str:
    """A text with some characters put in, left out, exchanged or said again."""
    for _ in range(drawn.choice((1, 1, 2, 8))):
        text = _text(text, drawn)
    return text


class Damage(NamedTuple):
    """What was done to one file of a folder."""

    path: Path
    """Seen from the folder."""
    how: str
    changed: bool
    """Whether the file holds other bytes than before."""


def mutated_folder(origin: Path, folder: Path, drawn: random.Random) -> Damage:
    """A copy of a folder in which one file is damaged."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(origin, folder)
    path = drawn.choice(sorted(each for each in folder.rglob("*") if each.is_file()))
    whole, kind = path.read_bytes(), drawn.randrange(5)
    cut = drawn.randrange(len(whole) + 1)
    if kind == 0:
        how = "deleted"
        path.unlink()
    elif kind == 1:
        how = f"cut at {cut}"
        path.write_bytes(whole[:cut])
    elif kind == 2:
        how = f"changed at {cut}"
        path.write_bytes(whole[:cut] + bytes([drawn.randrange(256)]) + whole[cut + 1 :])
    elif kind == 3 and path.suffix in (".json", ".yaml"):
        how = "mutated"
        read, write = (json.loads, json.dumps) if path.suffix == ".json" else (yaml.safe_load, yaml.safe_dump)
        path.write_text(write(mutated({"file": read(whole)}, drawn).get("file")))
    else:
        how = "made a folder"
        path.unlink()
        path.mkdir()
    return Damage(path.relative_to(folder), how, not path.is_file() or path.read_bytes() != whole)


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
