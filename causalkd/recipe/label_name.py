"""A type for the name of a label in YAML, where `5` is a number and `no` means false."""

from typing import Annotated, Any

from pydantic import BeforeValidator


def _as_text(given: Any) -> Any:
    """A whole number as its text; ValueError if YAML has read a word as true or false."""
    if isinstance(given, bool):
        raise ValueError(
            f"YAML reads no, yes, off, on, false and true without quotes as {given}; write the label in quotes, as in "
            "the data"
        )
    return str(given) if isinstance(given, int) else given


LabelName = Annotated[str, BeforeValidator(_as_text)]
"""A text, or a whole number that stands for its text."""
