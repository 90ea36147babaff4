"""The manifest of a folder: which files were written into it, their sizes and digests; it is written last.

A folder without a manifest was not written completely; one that differs from its manifest was changed or damaged.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from causalkd.files.digests import file_digest, file_digest_once
from causalkd.files.whole_files import write_whole

MANIFEST = "manifest.json"


def write_manifest(folder: Path) -> None:
    """Records every file in the folder but hidden ones, such as locks and unfinished files of a killed process."""
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names = [name for name in names if str(name) != MANIFEST and not any(part.startswith(".") for part in name.parts)]
    recorded = {
        str(name): {"bytes": (folder / name).stat().st_size, "sha256": file_digest(folder / name)} for name in names
    }
    write_whole(folder / MANIFEST, json.dumps({"files": recorded, "sha256": _digest(recorded)}, indent=1))


def recorded_files(folder: Path) -> set[Path]:
    """The files that the folder's manifest lists, and the manifest itself; empty if no manifest can be read."""
    try:
        names = _read(folder)
    except ValueError:
        return set()
    return {folder / MANIFEST, *(folder / name for name in names)}


def damage(folder: Path) -> str | None:
    """The differences of the folder from its manifest, in words; None if all recorded files are unchanged.

    Reads every recorded file. Files that were added later do not count.
    """
    try:
        return _difference(folder, _read(folder))
    except ValueError as error:
        return str(error)


def changed_since(folder: Path) -> str | None:
    """The differences of a folder from a manifest that was written into it, in words; None if it has no such manifest.

    A file of this name that lists no files and has no digest was not written by causalkd, and is ignored.
    """
    try:
        return _difference(folder, _read(folder))
    except _NoManifest:
        return None
    except ValueError as error:
        return str(error)


class _NoManifest(ValueError):
    """There is no manifest of ours in a folder."""


def _difference(folder: Path, recorded: Mapping[str, tuple[int, str]]) -> str | None:
    for name, (size, digest) in recorded.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes, and {size} were written"
        if file_digest_once(path) != digest:
            return f"the contents of {name} are not what was written"
    return None


def _read(folder: Path) -> dict[str, tuple[int, str]]:
    path = folder / MANIFEST
    if not path.is_file():
        raise _NoManifest(f"it has no {MANIFEST}, so it was not written completely")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        files, digest = manifest["files"], manifest["sha256"]
        recorded = {name: (each["bytes"], each["sha256"]) for name, each in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _NoManifest(f"its {MANIFEST} cannot be read") from None
    if digest != _digest(files):
        raise ValueError(f"its {MANIFEST} was changed after it was written")
    return recorded


def _digest(files: Mapping[str, Mapping[str, Any]]) -> str:
    """The digest of the list itself: without an entry, a file that was changed would pass."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
