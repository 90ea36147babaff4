"""What a report's numbers were measured on."""

from dataclasses import dataclass

from pydantic import ConfigDict


@dataclass(frozen=True)
class MeasuredOn:
    """The held-out rows of a report, and what of the run is not as it was when the run was made."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    origin: str
    """The origin of the rows, and how they differ from the official split, if they do."""
    rows: int
    sha256: str
    """A digest of the rows as the models read them; another tokenizer makes other rows."""
    changed: tuple[str, ...] = ()
    """What of the data, the teacher, the settings and the alignment is no longer as it was, in words: a measurement
    that was asked for on purpose, and whose held-out rows the models may have been trained on."""
