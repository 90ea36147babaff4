"""Errors of libraries about a user's file or value become one ValueError: which file, which key, and what to do.

transformers, tokenizers and jinja raise nearly every kind of error for a file that is damaged, or for a value of
another type; the cause is always the file.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST = 300
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
"""Words of torch for it."""


@contextmanager
def refused(what: str, advice: str, passing: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turns any error that is raised inside into a ValueError `what: reason; advice`.

    Faults of the machine, such as too little memory, pass unchanged.

    Args:
        what: The file or the value.
        advice: Advice for the user.
        passing: Further kinds of errors that pass unchanged.

    Raises:
        ValueError: Something inside was refused.
    """
    try:
        yield
    except passing:
        raise
    except Exception as error:
        if isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY):
            raise
        raise ValueError(f"{what}: {reason(error)}; {advice}") from error


def reason(error: Exception) -> str:
    """The message of an error in one line, with its type if that says more, as for a KeyError."""
    said = " ".join(str(error).split())
    if not isinstance(error, OSError | ValueError):
        said = f"{type(error).__name__}: {said}"
    said = said.rstrip(".;") or type(error).__name__
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


def json_fault(file: Path) -> str | None:
    """Why a file is not a JSON mapping, in words; None if it is one, or if there is no such file."""
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        return f"{file} is no JSON ({reason(error)})"
    return None if isinstance(found, dict) else f"{file} holds {type(found).__name__}, not keys with values"
