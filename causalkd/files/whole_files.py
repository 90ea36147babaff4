"""Files that are written in one step: a reader sees the old text or the whole new one, also after a kill."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Writes a file in one step; what fails half way leaves the old file and no draft."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
