"""The columns of a table that fill the roles of a kind of rows: those given, else those named as usual."""

from collections.abc import Mapping, Sequence

from causalkd.data.tasks.data_files import Table
from causalkd.data.tasks.kinds import Kind
from causalkd.data.tasks.row_kinds import MOST_COLUMNS, PAIRED, ROW_KINDS, usual_column, usual_pair
from causalkd.errors import few


def columns_of(kind: Kind, given: Mapping[str, str | Sequence[str]], table: Table) -> dict[str, tuple[str, ...]]:
    """The columns of each role, in their order.

    Raises:
        ValueError: A role has no column, or columns that are not there, too many or used twice; or it is not known
            which of several columns is meant.
    """
    roles, found = ROW_KINDS[kind].roles, {}
    unknown = [role for role in given if role not in roles]
    faults = [f"a row of kind {kind} has no {', '.join(unknown)}; it has {', '.join(roles)}"] if unknown else []
    for role in roles:
        named = given.get(role)
        found[role], wrong = _usual(kind, role, table) if named is None else _named(kind, role, named, table)
        faults += wrong
    used = [column for columns in found.values() for column in columns]
    twice = sorted({column for column in used if used.count(column) > 1})
    if twice:
        faults.append(f"{', '.join(map(repr, twice))} would fill two roles, so a model could read its own label")
    if faults:
        raise ValueError(
            f"{table.origin} has the columns {few(table.columns)}: {'; '.join(faults)}. Correct `columns` of "
            "the recipe's `data`"
        )
    return found


def _named(kind: Kind, role: str, given: str | Sequence[str], table: Table) -> tuple[tuple[str, ...], list[str]]:
    """The given columns of a role, and their faults."""
    columns = (given,) if isinstance(given, str) else tuple(given)
    absent = [column for column in columns if column not in table.columns]
    faults = [f"`columns.{role}` names {absent}, which are not there"] if absent else []
    if len(columns) > (MOST_COLUMNS if role == "labels" else 2 if _may_be_pair(kind, role) else 1):
        faults.append(f"`columns.{role}` names {len(columns)} columns, more than the role can have")
    return columns, faults


def _usual(kind: Kind, role: str, table: Table) -> tuple[tuple[str, ...], list[str]]:
    """The columns of a role by their names, and their faults."""
    usual = ROW_KINDS[kind].roles[role]
    one, pair = usual_column(usual, table.columns), usual_pair(table.columns) if _may_be_pair(kind, role) else ()
    if one is not None and pair and one not in pair:
        return pair, [f"the text may be {one!r} or the pair {pair[0]!r} and {pair[1]!r}: name it"]
    columns = pair or tuple(filter(None, (one,)))
    if not columns and role not in ROW_KINDS[kind].optional:
        return columns, [f"no column is named as `{role}` usually is ({', '.join(usual)}): name it"]
    return columns, []


def _may_be_pair(kind: Kind, role: str) -> bool:
    return role == "text" and ROW_KINDS[kind].task in PAIRED
