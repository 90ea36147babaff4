"""What tells the contents of files apart: not their size and time, which archives and copies keep."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's contents, in hexadecimal digits. Costs one reading of it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(paths: Iterable[Path]) -> str:
    """One digest of the contents of some files, in their order."""
    return hashlib.sha256("".join(map(file_digest, paths)).encode()).hexdigest()
