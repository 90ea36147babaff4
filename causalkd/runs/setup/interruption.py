"""Handling of Ctrl-C and SIGTERM during training: it finishes the step, saves a checkpoint, and stops."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal stopped the work.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


class Stopping(TrainerCallback):
    """Ends a training after the step in which a signal arrives, with a checkpoint; a second signal ends it at once."""

    def __init__(self) -> None:
        self._signal: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listens inside the block, and raises at its end if a signal arrived.

        Threads other than the main one cannot listen, and one of several processes must not stop alone: both leave
        signals to the handlers that are set.

        Raises:
            Stopped: A signal arrived.
        """
        if threading.current_thread() is not threading.main_thread() or PartialState().num_processes > 1:
            yield
            return
        before = {number: signal.signal(number, self._note) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._signal is not None:
            raise Stopped(self._signal)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Requests a checkpoint and the end of training."""
        if self._signal is not None:
            control.should_save = control.should_training_stop = True

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            raise Stopped(number)
        self._signal = number


@contextmanager
def terminable() -> Iterator[None]:
    """Inside the block, SIGTERM raises `Stopped`, as Ctrl-C raises KeyboardInterrupt, so that locks are released."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
