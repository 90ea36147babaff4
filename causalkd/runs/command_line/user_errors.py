"""The end of a command after a fault or a signal: a message on standard error and an exit code, without a traceback."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
"""The variables by which launchers such as torchrun give a process its rank among the others."""


@contextmanager
def user_errors() -> Iterator[None]:
    """Ends the process with a message, without a traceback, after a fault of the user or the machine inside.

    Exit codes: 2 for a fault of the user, 3 for one of the machine, 128 and its number for a signal. Progress bars and
    warnings of libraries are turned off. Of several processes only the one that fails first says why.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from datasets import disable_progress_bars
    from datasets.utils.logging import CRITICAL
    from datasets.utils.logging import set_verbosity as set_verbosity_of_datasets
    from transformers.utils import logging

    disable_progress_bars()
    set_verbosity_of_datasets(CRITICAL)  # its errors are raised too, and end here
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    from causalkd.processes.first_fault import is_first_fault
    from causalkd.processes.processes import FailedElsewhere
    from causalkd.runs.setup.interruption import terminable

    try:
        with terminable():
            yield
            sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        message, code = _ending(error)
        if isinstance(error, FailedElsewhere) or not is_first_fault():
            sys.exit(code)
        if message is None:
            raise
        _end(message, code)


def end_with(error: OSError) -> NoReturn:
    """Ends a command that does no work of its own, such as help, after a fault of the machine, such as a full disk."""
    from causalkd.runs.command_line.environment_faults import EXIT_CODE, environment_fault

    _end(environment_fault(error) or str(error), EXIT_CODE)


def _ending(error: BaseException) -> tuple[str | None, int]:
    """The message and the exit code of a command after an error; no message for a fault of the program."""
    from pydantic import BaseModel, ValidationError
    from safetensors import SafetensorError

    from causalkd.errors import fault_lines
    from causalkd.runs.command_line.environment_faults import EXIT_CODE, environment_fault
    from causalkd.runs.setup.interruption import Stopped

    if isinstance(error, ValidationError):  # for one value, such as that of an option
        return "; ".join(fault_lines(error, BaseModel)), 2
    if isinstance(error, ValueError):
        return str(error), 2
    if isinstance(error, KeyboardInterrupt):
        number = error.signal if isinstance(error, Stopped) else signal.SIGINT
        said = "call the same command again, and a training continues from its last checkpoint"
        return f"stopped by {number.name}; {said}", 128 + number
    if isinstance(error, OSError | MemoryError | RuntimeError | SafetensorError):
        fault = environment_fault(error)
        return fault, 1 if fault is None else EXIT_CODE
    return None, 1


def _end(message: str, code: int) -> NoReturn:
    """Prints why a command ends and ends it; text that standard output cannot take is dropped."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    typer.echo(f"causalkd: {message}", err=True)
    sys.exit(code)


def is_first_process() -> bool:
    """Whether this is the first of the processes that a launcher such as torchrun starts; only that one prints."""
    return int(os.environ.get("RANK", "0")) == 0


def leave_to_the_first(*, wanted: bool = True) -> None:
    """If `wanted`, ends every process but the first, which runs the command alone and waits for no other."""
    if not wanted:
        return
    if not is_first_process():
        raise typer.Exit
    for name in LAUNCHED:
        os.environ.pop(name, None)
