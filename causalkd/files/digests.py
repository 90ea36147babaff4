"""Digests that identify the contents of files, unlike their size and time, which archives and copies keep."""

import hashlib
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

_SETTLED_SECONDS = 2.0
"""A file that changed less long ago may change again within one tick of its file system's clock."""


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's contents, in hexadecimal digits. Costs one reading of it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(paths: Iterable[Path]) -> str:
    """One digest of the contents of some files, in their order."""
    return _joined(map(file_digest, paths))


def files_digest_once(paths: Iterable[Path]) -> str:
    """The same digest; a process that calls it again reads only files again that were written to since.

    It goes by the time at which the system last changed a file, which, unlike the time that copies keep, cannot be set.
    """
    return _joined(map(file_digest_once, paths))


def file_digest_once(path: Path) -> str:
    """The digest of a file, which is read again only if it was written to since this process last read it."""
    found = path.stat()
    if time.time() - found.st_ctime < _SETTLED_SECONDS:
        return file_digest(path)
    return _known(path.resolve(), found.st_ino, found.st_size, found.st_ctime_ns)


@lru_cache(maxsize=4096)
def _known(path: Path, number: int, size: int, changed: int) -> str:
    return file_digest(path)


def _joined(digests: Iterable[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()
