"""The lock of a run folder, in which only one process works at a time; the error for a second one names the first."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from filelock import FileLock, Timeout

from causalkd.files.whole_files import write_whole
from causalkd.processes.processes import all_processes
from causalkd.runs.folder.layout import LOCK, WORKER, RunFolder

P = ParamSpec("P")
R = TypeVar("R")


class Occupied(ValueError):
    """Another process is working in a folder."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other processes out of the folder, which must exist; a process that is killed releases it.

    Raises:
        Occupied: Another process is working in the folder; the message says which, and on which host.
    """
    lock = FileLock(path / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise Occupied(
            f"{_worker(path)} is working in {path}; wait until it is done, stop it, or choose another folder"
        ) from None
    try:
        RunFolder(path).settle()
        write_whole(path / WORKER, json.dumps({"process": os.getpid(), "host": socket.gethostname()}))
        yield
    finally:
        (path / WORKER).unlink(missing_ok=True)
        # Deleted while the lock is held, so that a waiting process sees that its file no longer exists.
        (path / LOCK).unlink(missing_ok=True)
        lock.release()


def working_alone(function: Callable[Concatenate[str | Path, P], R]) -> Callable[Concatenate[str | Path, P], R]:
    """Decorates a function whose first argument is a run's folder, so that it keeps other processes out while it runs.

    If a job has several processes, its first one holds the lock for all of them.
    """

    @wraps(function)
    def alone(path: str | Path, *args: P.args, **options: P.kwargs) -> R:
        folder = RunFolder(Path(path))
        # A run that a killed call had set aside comes back when the folder is locked.
        aside = RunFolder(folder.replaced)
        if not (folder.recipe.is_file() or aside.recipe.is_file()):  # the function itself reports that this is no run
            return function(path, *args, **options)
        processes = all_processes()
        with ExitStack() as held:

            def hold() -> None:
                held.enter_context(locked(Path(path)))

            processes.in_first(hold)
            found = function(path, *args, **options)
            processes.wait()  # until no process reads the folder
            return found

    return alone


def is_occupied(path: Path) -> bool:
    """Whether another process, or this one, is working in a folder."""
    if not (path / LOCK).is_file():
        return False
    lock = FileLock(path / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    lock.release()
    return False


def _worker(path: Path) -> str:
    try:
        found = json.loads((path / WORKER).read_text(encoding="utf-8"))
        return f"process {found['process']} on host {found['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
