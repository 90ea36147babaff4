"""The data files that a path names, with their formats and splits; no search goes on without end."""

import fnmatch
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from glob import has_magic
from pathlib import Path

from causalkd.files.records import is_record

FORMATS: Mapping[str, str] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".txt": "text",
    ".text": "text",
    ".conll": "conll",
    ".bio": "conll",
    ".iob": "conll",
}
"""The format of a file by the end of its name."""
MOST_ENTRIES = 200_000
"""The number of files and folders that a search looks at before it is given up."""
_SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val", "eval", "evaluation"),
    "test": ("test", "testing"),
}
"""The patterns by which the name of a file in a folder, or of a split on the hub, shows its split."""
_ENVIRONMENT = ("pyvenv.cfg", "conda-meta")
"""The files by which the folder of a virtual environment is recognised."""
_RUN = {"recipe.yaml", "data.json"}
_WRITTEN_HERE = (
    {"study.yaml", "cells.jsonl"},
    {"study.yaml", "step_costs.json"},
    {"pipeline.yaml", "results.json"},
)
"""The files by which the folder of a run, a study or a pipeline is recognised, whose files are results and not data."""


def find_files(path: str) -> list[Path]:
    """The files that a path, a folder or a glob pattern names, in order of their names; none for a hub name.

    In a folder these are the files of a known format, at any depth. Hidden folders, virtual environments, links to
    folders, and folders of runs, studies and pipelines are not entered, neither in a folder nor by the `**` of a
    pattern.

    Raises ValueError if a folder cannot be read, and after `MOST_ENTRIES` files and folders.
    """
    place = Path(path)
    if place.is_file():
        return [place]
    search = _Search(path)
    if place.is_dir():
        return sorted(search.below(place))
    parts = place.parts[1:] if place.anchor else place.parts
    return sorted({*search.matching(Path(place.anchor), parts)}) if has_magic(path) else []


def split_of(name: str) -> str | None:
    """The split that the name of a file or of a hub's split shows, if any."""
    words = "".join(letter if letter.isalpha() else " " for letter in name.lower()).split()
    return next((split for split, known in _SPLIT_NAMES.items() if set(words) & set(known)), None)


class _Search:
    """One search for files, which counts what it looks at."""

    def __init__(self, path: str) -> None:
        self._path, self._seen, self._first = path, 0, ""
        self._formats = Counter[str]()

    def below(self, folder: Path) -> Iterator[Path]:
        """The data files in a folder and in those below it."""
        for _, entries in self._folders(folder):
            yield from (Path(entry.path) for entry in entries if _is_data(entry))

    def matching(self, place: Path, parts: Sequence[str]) -> Iterator[Path]:
        """The files below a place whose path has these parts, each a name or a pattern."""
        if not parts:
            if place.is_file():
                yield place
            return
        part, *rest = parts
        if part == "**":
            for folder, entries in self._folders(place):
                yield from self.matching(folder, rest)
                yield from (Path(entry.path) for entry in entries if not rest and entry.is_file())
        elif not has_magic(part):
            yield from self.matching(place / part, rest)
        elif place.is_dir():
            for entry in self._entries(place):
                if fnmatch.fnmatch(entry.name, part) and (part.startswith(".") or not entry.name.startswith(".")):
                    yield from self.matching(Path(entry.path), rest)

    def _folders(self, folder: Path) -> Iterator[tuple[Path, list[os.DirEntry[str]]]]:
        """A folder and those below it, with their entries."""
        waiting, first = [folder] if folder.is_dir() else [], folder
        while waiting:
            folder = waiting.pop()
            entries = self._entries(folder)
            if folder != first and _is_left_out(folder, {entry.name for entry in entries}):
                continue
            yield folder, entries
            inside = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
            waiting += [Path(entry.path) for entry in inside if not entry.name.startswith(".")]

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        entries = []
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    self._count(entry)
                    entries.append(entry)
        except FileNotFoundError:  # deleted since it was listed
            return []
        except OSError as error:
            raise ValueError(
                f"{folder} cannot be read ({error.strerror}), so it is not known which data files lie in "
                f"{self._path!r}. Name a folder, a file or a pattern of files that you may read"
            ) from None
        return entries

    def _count(self, entry: os.DirEntry[str]) -> None:
        """Raises ValueError where this entry is one too many."""
        if _ending(entry) in FORMATS:
            self._formats[_ending(entry)] += 1
            self._first = self._first or entry.path
        self._seen += 1
        if self._seen > MOST_ENTRIES:
            counted = ", ".join(f"{count:,} {ending}" for ending, count in self._formats.most_common())
            seen = f"{counted}, such as {self._first}" if counted else f"none whose name ends in {', '.join(FORMATS)}"
            raise ValueError(
                f"{self._path!r} holds more than {MOST_ENTRIES:,} files and folders, not counting hidden folders and "
                f"virtual environments; the search was given up there. The data files seen so far: {seen}. Name the "
                "folder in which the data lie, one file, or a pattern of files in one folder such as 'data/*.csv'"
            )


def _is_left_out(folder: Path, names: set[str]) -> bool:
    """Whether a folder of these entries holds no data that anybody has put there."""
    if any(name in names for name in _ENVIRONMENT) or any(marks <= names for marks in _WRITTEN_HERE):
        return True
    return names >= _RUN and is_record(folder / "data.json")


def _is_data(entry: os.DirEntry[str]) -> bool:
    return _ending(entry) in FORMATS and entry.is_file()


def _ending(entry: os.DirEntry[str]) -> str:
    return os.path.splitext(entry.name)[1].lower()
