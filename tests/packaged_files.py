"""Files inside packages that `make weights` installs; the packages themselves are never imported."""

import importlib.util
from pathlib import Path


def file_of(package: str, inside: str) -> Path | None:
    """Where a file or folder of a package is; None where the package, or that in it, is not installed."""
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else spec.submodule_search_locations or []
    return next((Path(folder) / inside for folder in folders if (Path(folder) / inside).exists()), None)
