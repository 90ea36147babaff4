"""Signals while a model trains: the step is finished, the checkpoint saved, and the run continues there."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, TrainerCallback

from causalkd.runs import distill as runs
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.setup import trainer as set_up
from causalkd.runs.setup.interruption import Stopped, Stopping, terminable
from causalkd.training.callbacks import read_rows
from tests.shrunk import RESUMED, shrunk

CHANGES = (*RESUMED, "training.save_steps=500", "training.logging_steps=2")


class _Signal(TrainerCallback):
    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 2:
            os.kill(os.getpid(), signal.SIGTERM)


def _signalled(*args: Any, **options: Any) -> Any:
    trainer = set_up.build_trainer(*args, **options)
    if options["name"] == "only":
        trainer.add_callback(_Signal())
    return trainer


def _weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    return AutoModelForSequenceClassification.from_pretrained(folder.path / "student").state_dict()


def _rows(folder: RunFolder) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "grad_norm"} for row in read_rows(folder.metrics)]


def test_a_training_stops_after_its_step_and_continues_as_if_it_had_not(tmp_path: Path) -> None:
    whole, stopped = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "stopped")
    runs.distill(shrunk("quickstart", whole.path, *CHANGES))
    recipe = shrunk("quickstart", stopped.path, *CHANGES)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped) as raised:
        patch.setattr(runs, "build_trainer", _signalled)
        runs.distill(recipe)
    assert raised.value.signal == signal.SIGTERM
    # Step 3 is between two rows of the log, and no checkpoint was due.
    assert stopped.last_checkpoint("only-seed0") == stopped.work("only-seed0") / "checkpoint-3"
    runs.distill(recipe)
    assert all(torch.equal(tensor, _weights(whole)[name]) for name, tensor in _weights(stopped).items())
    assert _rows(stopped) == _rows(whole)


def test_a_second_signal_stops_at_once() -> None:
    stopping, before = Stopping(), signal.getsignal(signal.SIGINT)
    with pytest.raises(Stopped), stopping.listening():
        # Raised in this thread, so that the first is noted before the second comes.
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second signal did nothing")
    assert signal.getsignal(signal.SIGINT) is before


def test_elsewhere_a_termination_is_an_interrupt() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped), terminable():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_leave_signals_alone() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def listen() -> None:
        with terminable(), Stopping().listening():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [before]
