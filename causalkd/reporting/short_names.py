"""Names of students and runs that fit their place in a table, a figure or a sentence."""

from collections.abc import Iterable, Sequence

from rich.cells import cell_len

from causalkd.reporting.markdown_text import isolated

_NAMED = 4
"""The largest number of names that a sentence gives one by one."""


def short_name(name: str, letters: int = 20) -> str:
    """A name that fits its place: the beginning and the end of a long one.

    Args:
        name: What is named.
        letters: The width of the place in Latin letters; the letters of some scripts are twice as wide.
    """
    room = letters * len(name) // max(cell_len(name), 1)
    end = room // 3
    return name if len(name) <= room else f"{name[: room - end - 1]}…{name[len(name) - end :]}"


def short_names(names: Iterable[str], letters: int = 20) -> dict[str, str]:
    """The short form of each name, by the name; names that would become equal stay whole."""
    short = {name: short_name(name, letters) for name in names}
    forms = list(short.values())
    return {name: name if forms.count(form) > 1 else form for name, form in short.items()}


def names_or_number(names: Sequence[str], what: str = "students") -> str:
    """Some names for a sentence: `a`, `a and b`, or, where they are too many to read, `7 students`."""
    if len(names) > _NAMED:
        return f"{len(names)} {what}"
    *most, last = map(isolated, names)
    return f"{', '.join(most)} and {last}" if most else last
