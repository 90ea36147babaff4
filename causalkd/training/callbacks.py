"""Trainer callbacks: a file of terms, the data's epoch number, an evaluation at the last save, a call at the start."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch.utils.data import Subset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from causalkd.data.pairs.collator import ExampleSet
from causalkd.files.refusals import refused
from causalkd.files.whole_files import write_whole

_NOT_TERMS = (
    "epoch",
    "total_flos",
    "train_runtime",
    "train_samples_per_second",
    "train_steps_per_second",
    "train_loss",
)


class MetricsFile(TrainerCallback):
    """Appends one row per log to a file of JSON lines: `{"student", "seed", "step", "loss", "term/<name>", …}`.

    Starting, or resuming at a step, first drops this student's rows from there on, so that no step occurs twice.

    Args:
        path: The file; other students' rows in it stay.
        student: The name in every row.
        seed: The seed in every row.
    """

    def __init__(self, path: Path, student: str, seed: int) -> None:
        self._path, self._owner = path, {"student": student, "seed": seed}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Drops the rows that will be written again."""
        if state.is_world_process_zero:
            kept = [row for row in read_rows(self._path) if not self._mine(row) or row["step"] <= state.global_step]
            write_whole(self._path, "".join(json.dumps(row) + "\n" for row in kept))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Writes one row."""
        if state.is_world_process_zero and logs and "loss" in logs:
            told = {name: value for name, value in logs.items() if name not in _NOT_TERMS}
            row = json.dumps({**self._owner, "step": state.global_step, **told})
            with self._path.open("ab", buffering=0) as file:
                file.write(f"{row}\n".encode())  # in one call, so that no other process writes in between

    def _mine(self, row: Mapping[str, Any]) -> bool:
        return all(row.get(key) == value for key, value in self._owner.items())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines; empty if there is no file.

    A last line without its line break was left by a killed process, and is ignored.
    Raises ValueError for a damaged line, with its number.
    """
    if not path.is_file():
        return []
    *written, _ = path.read_bytes().split(b"\n")
    return [_row(line, f"{path}, line {number}") for number, line in enumerate(written, 1)]


def _row(line: bytes, place: str) -> dict[str, Any]:
    with refused(f"{place} is damaged", "delete this line, or put the file back from a copy"):
        return dict(json.loads(line))


def examples_of(data: object) -> ExampleSet | None:
    """The `ExampleSet` that training data are, or are a part of (`torch.utils.data.Subset`); None if there is none."""
    while isinstance(data, Subset):
        data = data.dataset
    return data if isinstance(data, ExampleSet) else None


class SetEpoch(TrainerCallback):
    """Passes the number of the epoch, on which every drawn source, position and mask depends, to the data.

    Accelerate's loader does so only in one process that was not interrupted. A `DistillationTrainer` has this callback.

    Args:
        data: The training data: an `ExampleSet`, or a part of one (`torch.utils.data.Subset`). Of others, which know of
            no epoch, nothing is done.
    """

    def __init__(self, data: object) -> None:
        self._examples = examples_of(data)

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Passes the epoch on."""
        if self._examples is not None:
            self._examples.set_epoch(int(state.epoch or 0))

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Passes the epoch on again: an evaluation of the same data has begun with the first one."""
        self.on_epoch_begin(args, state, control)


class EvaluateAtSave(TrainerCallback):
    """If checkpoints are evaluated at all, also evaluates the one that is saved at the last step."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Asks for an evaluation."""
        if args.eval_strategy != "no" and control.should_save:
            control.should_evaluate = True


class OnTrainBegin(TrainerCallback):
    """Calls a function when training begins, or goes on.

    Args:
        then: The function.
    """

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Calls it."""
        self._then()
