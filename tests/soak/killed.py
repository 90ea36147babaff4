"""A command of causalkd in a process that dies, as by `kill -9`, at a file operation or after some seconds."""

import gc
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from transformers.conversion_mapping import get_checkpoint_conversion_mapping

# Imported here once; every command is a fork that has them. The parent computes nothing, so that forks are safe.
from analysis.pages import report_page
from causalkd.cli import app
from causalkd.runs import attribute as attributions
from causalkd.runs import distill as runs

IMPORTED = (report_page, attributions, runs)
# What every fork would build anew.
report_page.page_template()
get_checkpoint_conversion_mapping("bert")
_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Ended(NamedTuple):
    """How a command ended."""

    code: int | None
    """The exit code; None where it was killed."""
    told: str
    operations: int
    """File operations that it made."""
    seconds: float


def command(
    arguments: Sequence[str], folder: Path, *, at_operation: int | None = None, after: float | None = None
) -> Ended:
    """Runs a command that writes into a folder below `folder`, and kills it at a moment or lets it end."""
    told, counted = folder / "told.txt", folder / "operations.txt"
    counted.write_text("0")
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        _run(arguments, folder, told, counted, at_operation)
    status = _wait(child, after)
    code = os.waitstatus_to_exitcode(status)
    took = time.perf_counter() - began
    return Ended(None if code == -signal.SIGKILL else code, told.read_text(), int(counted.read_text()), took)


def _wait(child: int, after: float | None) -> int:
    until = None if after is None else time.perf_counter() + after
    while until is not None and time.perf_counter() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status
        time.sleep(0.005)
    if until is not None:
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _run(arguments: Sequence[str], folder: Path, told: Path, counted: Path, at_operation: int | None) -> None:
    """Runs in the fork, and does not return."""
    gc.freeze()  # every training collects garbage, and would look for it in all that is imported
    torch.set_num_threads(1)
    output = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    operations = 0

    def hook(event: str, given: tuple) -> None:
        nonlocal operations
        if event in _CHANGES or (event == "open" and given[2] & _WRITES and str(given[0]).startswith(str(folder))):
            if operations == at_operation:
                os.kill(os.getpid(), signal.SIGKILL)
            operations += 1

    sys.addaudithook(hook)
    code = 0
    try:
        app([*arguments], standalone_mode=False)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    made = operations
    counted.write_text(str(made))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
