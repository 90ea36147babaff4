"""Files that are written in one step: a reader sees the old text or the whole new one, also after a kill."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Writes a file in one step; a failure half way leaves the old file and no draft."""
    replace_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def replace_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` write a draft next to the path, and moves it there in one step; a failure leaves no draft."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        write(draft)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def replace_folder(path: Path, write: Callable[[Path], object]) -> None:
    """The same for a folder, which replaces an existing one, or a link to one.

    It does so in two steps: a process that is killed between them leaves the old one as `.NAME.old` next to the path.
    """
    draft, old = path.with_name(f".{path.name}.draft"), path.with_name(f".{path.name}.old")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        write(draft)
        _delete(old)
        if os.path.lexists(path):
            os.replace(path, old)
        os.replace(draft, path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        if os.path.lexists(old) and not os.path.lexists(path):
            os.replace(old, path)
        raise
    _delete(old)


def _delete(path: Path) -> None:
    """Deletes a folder if it exists; for a link, only the link."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
