"""How a command ends after a fault or a signal: its message on standard error and an exit code, without a traceback."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer


@contextmanager
def user_errors() -> Iterator[None]:
    """A fault of the user or of the machine that happens inside ends the process with its message, without a traceback.

    Exit codes: 2 for a fault of the user, 3 for one of the machine, 128 and its number for a signal. Progress bars and
    warnings of libraries are turned off.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from datasets import disable_progress_bars
    from datasets.utils.logging import CRITICAL
    from datasets.utils.logging import set_verbosity as set_verbosity_of_datasets
    from safetensors import SafetensorError
    from transformers.utils import logging

    disable_progress_bars()
    set_verbosity_of_datasets(CRITICAL)  # its errors are raised too, and end here
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    from causalkd.runs.command_line.environment_faults import EXIT_CODE, environment_fault
    from causalkd.runs.setup.interruption import Stopped, terminable

    try:
        with terminable():
            yield
            sys.stdout.flush()
    except ValueError as error:
        _end(str(error), 2)
    except KeyboardInterrupt as error:
        number = error.signal if isinstance(error, Stopped) else signal.SIGINT
        _end(
            f"stopped by {number.name}; call the same command again, and a training continues from its last checkpoint",
            128 + number,
        )
    except (OSError, MemoryError, RuntimeError, SafetensorError) as error:
        fault = environment_fault(error)
        if fault is None:
            raise
        _end(fault, EXIT_CODE)


def _end(message: str, code: int) -> NoReturn:
    """Prints why a command ends and ends it; what standard output cannot take any more is dropped."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    typer.echo(f"causalkd: {message}", err=True)
    sys.exit(code)


def is_first_process() -> bool:
    """Whether this is the first of the processes that a launcher such as torchrun starts; only that one prints."""
    return int(os.environ.get("RANK", "0")) == 0


def leave_to_the_first() -> None:
    """Ends every process but the first, which runs the command alone."""
    if not is_first_process():
        raise typer.Exit
