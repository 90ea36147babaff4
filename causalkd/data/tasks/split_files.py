"""The split of each of several data files, by its own name or that of a folder that it lies in."""

from collections.abc import Callable, Mapping, Sequence
from glob import has_magic
from itertools import takewhile
from pathlib import Path

from causalkd.data.tasks.find_files import split_of


def files_by_split(
    path: str, files: Sequence[Path], named: Callable[[str], Sequence[Path]], declared: Mapping[str, object]
) -> dict[str, list[Path]]:
    """The files of each split; those whose names say nothing are the training split.

    Args:
        path: The file, the folder or the pattern that named the files.
        files: The files.
        named: The files that a name in `declared` means.
        declared: A file, a split's name or something else by split; a file that is declared to be of one split is of
            no other.

    Raises:
        ValueError: Some names say that they are the training split, and others say nothing.
    """
    found: dict[str, list[Path]] = {}
    nameless: list[Path] = []
    for file in files:
        split = _split_of_file(file, path) if len(files) > 1 else None
        (nameless if split is None else found.setdefault(split, [])).append(file)
    names = [name for name in declared.values() if isinstance(name, str) and name not in (*found, "train")]
    taken = {file.resolve() for name in names for file in named(name)} if len(files) > 1 else set()
    nameless = [file for file in nameless if file.resolve() not in taken]
    if nameless and "train" in found and "train" not in declared:
        raise ValueError(
            f"{path!r} has {found['train'][0].name}, whose name says that it is the training split, and "
            f"{', '.join(file.name for file in nameless[:5])}, whose name tells no split. Name the file of each split "
            "in `splits`, such as `splits: {train: train.csv, validation: dev.csv}`, or give a pattern of files"
        )
    if "train" not in found:
        found["train"] = nameless
    left = {split: [file for file in of if file.resolve() not in taken] for split, of in found.items()}
    return {split: of for split, of in left.items() if of}


def _split_of_file(file: Path, path: str) -> str | None:
    """The split that the name of a file shows, else that of the nearest folder below the named one."""
    fixed = Path(*takewhile(lambda part: not has_magic(part), Path(path).parts))
    folders = file.relative_to(fixed).parts[:-1] if file.is_relative_to(fixed) else ()
    return next((split for name in (file.stem, *reversed(folders)) if (split := split_of(name))), None)
