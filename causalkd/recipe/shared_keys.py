"""Keys that parts of a recipe share, as students share `training`: what each part has, and which of them do nothing."""

from collections.abc import Iterable, Mapping
from typing import Any

from causalkd.recipe.overrides import LENGTHS

Keys = Mapping[str, Any]


def inherited(shared: Keys, own: Keys) -> dict[str, Any]:
    """The shared keys, changed by those of a part's own, of which `steps` or `epochs` replaces either."""
    replaced = LENGTHS if set(LENGTHS) & set(own) else ()
    return {**{key: value for key, value in shared.items() if key not in replaced}, **own}


def not_inherited(shared: Iterable[str], parts: Mapping[str, Keys]) -> dict[str, dict[str, dict[str, Any]]]:
    """The shared keys that do nothing, since every part sets them itself, or another length of training; with what
    each part sets instead, by its name.
    """
    found = {}
    for key in shared:
        same = LENGTHS if key in LENGTHS else (key,)
        own = {name: {k: keys[k] for k in same if k in keys} for name, keys in parts.items()}
        if all(own.values()):
            found[key] = own
    return found


def swallowed(fields: Keys, place: str, each: str, own: str, found: Mapping[str, Mapping[str, Keys]]) -> list[str]:
    """A line for each shared key that is asked for and does nothing, and what to write instead.

    Args:
        fields: Dotted fields that were asked for, with their values.
        place: Where the shared keys are, such as `training`.
        each: What shares them, such as `student`.
        own: Where a part has keys of its own, such as `students.*.training`.
        found: The shared keys that do nothing, of `not_inherited`.
    """
    given = {field: value for field, value in fields.items() if value is not None}
    below = f"{place}."
    asked = [field.removeprefix(below).split(".")[0] for field in given if field.startswith(below)]
    asked += list(whole) if isinstance(whole := given.get(place), Mapping) else []
    lines = []
    for key, parts in found.items():
        if key in asked:
            said = ", ".join(f"{name} {k}: {value}" for name, keys in parts.items() for k, value in keys.items())
            other = next((k for keys in parts.values() for k in keys if k != key), None)
            null = f", with {own}.{other} null" if other else ""
            lines.append(
                f"{place}.{key} would have no effect: every {each} sets its own ({said}); give {own}.{key} "
                f"instead{null}"
            )
    return lines
