"""One process at a time works in a run folder; who comes second is told who is there."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from filelock import FileLock, Timeout

from causalkd.files.whole_files import write_whole
from causalkd.runs.folder import LOCK, WORKER, RunFolder

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other processes out of the folder, which must exist; a process that is killed lets go of it.

    Raises:
        ValueError: Another process is at work in the folder; says which, and on which host.
    """
    lock = FileLock(path / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(
            f"{_worker(path)} is at work in {path}; wait until it is done, stop it, or choose another folder"
        ) from None
    try:
        RunFolder(path).settle()
        write_whole(path / WORKER, json.dumps({"process": os.getpid(), "host": socket.gethostname()}))
        yield
    finally:
        (path / WORKER).unlink(missing_ok=True)
        (path / LOCK).unlink(missing_ok=True)  # while it is held: who waits for it sees that it names no file any more
        lock.release()


def working_alone(function: Callable[Concatenate[str | Path, P], R]) -> Callable[Concatenate[str | Path, P], R]:
    """Makes a function whose first argument is a run's folder keep other processes out of it meanwhile."""

    @wraps(function)
    def alone(path: str | Path, *args: P.args, **options: P.kwargs) -> R:
        if not RunFolder(Path(path)).recipe.is_file():  # the function says that this is no run
            return function(path, *args, **options)
        with locked(Path(path)):
            return function(path, *args, **options)

    return alone


def _worker(path: Path) -> str:
    try:
        found = json.loads((path / WORKER).read_text(encoding="utf-8"))
        return f"process {found['process']} on host {found['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
