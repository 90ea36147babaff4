"""The command that a recipe is for, by its keys, so that an error can say if another command has read it."""

from collections.abc import Mapping
from typing import Any, Literal

Command = Literal["distill", "finetune", "pipeline", "study"]
_KEYS: Mapping[Command, tuple[frozenset[str], ...]] = {
    "pipeline": (frozenset({"distill", "finetune"}),),
    "distill": (frozenset({"teacher", "students"}),),
    "study": (frozenset({"recipe", "grid"}), frozenset({"recipe", "variants"}), frozenset({"recipe", "budget"})),
    "finetune": (frozenset({"model", "training"}), frozenset({"config", "training"})),
}
"""Sets of keys that recipes of one command have, and recipes of no other."""


def refusal(what: str, origin: object, command: Command, data: Any) -> str:
    """The headline of a recipe's faults; it names the command that the recipe is for if that is another one."""
    found = next((name for name, sets in _KEYS.items() if any(keys <= set(_keys(data)) for keys in sets)), command)
    hint = f"; its keys are those of a recipe for `causalkd {found}`: call that command, or correct the keys"
    return f"{what} {origin} cannot be used{'' if found == command else hint}"


def _keys(data: Any) -> set[str]:
    return {str(key) for key in data} if isinstance(data, Mapping) else set()
