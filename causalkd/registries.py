"""Adding an entry to a table of objectives, divergences, tasks or baselines, and naming it in a recipe."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from causalkd.errors import nearest


class KeyOf:
    """Restricts a field to the keys of a table: `Annotated[str, KeyOf(TABLE)]`.

    The table is looked at when a value is read and when a schema is printed, so a key that is registered later counts.
    """

    def __init__(self, table: Mapping[str, Any], *, checked: bool = True) -> None:
        """Args:
        table: The table.
        checked: False lists the keys in the schema only, for fields whose user refuses unknown keys itself.
        """
        self.table, self._checked = table, checked

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """The field's own schema, followed by the check of the key."""
        return core_schema.no_info_after_validator_function(self._known, handler(source))

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> dict:
        """The keys that are registered when the schema is printed."""
        return {"type": "string", "enum": list(self.table)}

    def _known(self, key: str) -> str:
        if self._checked and key not in self.table:
            raise ValueError(f"{key!r} is not valid; {nearest(key, list(self.table))}")
        return key


def add(table: dict[str, Any], what: str, key: str, entry: Any) -> None:
    """Adds an entry to a table.

    Raises:
        ValueError: The key is taken.
    """
    if key in table:
        raise ValueError(f"there is already an entry {key!r} in the table of {what}; choose another key")
    table[key] = entry


def remove(table: dict[str, Any], what: str, key: str) -> None:
    """Takes an entry out of a table.

    Raises:
        ValueError: There is no entry with this key.
    """
    if key not in table:
        raise ValueError(f"there is no entry {key!r} in the table of {what}; {nearest(key, list(table))}")
    del table[key]


def imported(what: Any) -> Any:
    """An object that an entry gives itself, or as `module:name`, so that a table needs no heavy import."""
    if not isinstance(what, str):
        return what
    module, _, name = what.partition(":")
    return getattr(import_module(module), name)
