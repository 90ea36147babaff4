"""Which command a recipe is for, by its keys: the first line of the faults of one that another command has read."""

from collections.abc import Mapping
from typing import Any, Literal

Command = Literal["distill", "finetune", "pipeline", "study"]
_KEYS: Mapping[Command, tuple[frozenset[str], ...]] = {
    "pipeline": (frozenset({"distill", "finetune"}),),
    "distill": (frozenset({"teacher", "students"}),),
    "study": (frozenset({"recipe", "grid"}), frozenset({"recipe", "variants"}), frozenset({"recipe", "budget"})),
    "finetune": (frozenset({"model", "training"}), frozenset({"config", "training"})),
}
"""Keys that recipes of a command have, and those of no other command."""


def refusal(what: str, origin: object, command: Command, data: Any) -> str:
    """The headline of a recipe's faults, which says the command that the recipe is for where that is another one."""
    found = next((name for name, sets in _KEYS.items() if any(keys <= set(_keys(data)) for keys in sets)), command)
    hint = "" if found == command else f", since it is one of `causalkd {found}` by its keys; call that, or correct it"
    return f"{what} {origin} cannot be used{hint}"


def _keys(data: Any) -> set[str]:
    return {str(key) for key in data} if isinstance(data, Mapping) else set()
