"""Folders that declare their splits: those of `save_to_disk`, and copies of hub data sets with their cards."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

_SAVED = ("dataset_dict.json", "state.json")
"""The files that `datasets` writes with the rows of a data set of several splits, and of one."""


def is_saved(path: str) -> bool:
    """Whether a path is a folder that `save_to_disk` of `datasets` wrote."""
    return any((Path(path) / name).is_file() for name in _SAVED)


def declares_splits(path: str) -> bool:
    """Whether a folder says which rows are of which split, so that the names of its files must not be guessed from."""
    return is_saved(path) or _has_card(Path(path) / "README.md")


def saved_splits(path: str) -> dict[str, "Dataset"]:
    """The splits of a folder that `save_to_disk` wrote; a data set without splits is `train`.

    Raises ValueError if it cannot be read.
    """
    import datasets

    try:
        found: Any = datasets.load_from_disk(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path!r} holds a data set of `save_to_disk` that cannot be read ({type(error).__name__}: {error}). Save "
            "it again"
        ) from None
    of_split = found if isinstance(found, datasets.DatasetDict) else {"train": found}
    return {str(name): rows for name, rows in of_split.items()}


def _has_card(file: Path) -> bool:
    """Whether the head of a data set's card declares its configurations."""
    if not file.is_file():
        return False
    with file.open(encoding="utf-8", errors="replace") as opened:
        head = re.match(r"---\r?\n(.*?\n)---\r?\n", opened.read(65536), re.DOTALL)
    return head is not None and re.search(r"^configs:", head[1], re.MULTILINE) is not None
