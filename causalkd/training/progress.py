"""The progress of a run: a bar for a person who watches, a few lines in a log, and the time left for the whole run."""

import sys
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ProgressCallback
from transformers.utils.import_utils import is_in_notebook

_MEASURED = "iia"
_PARTS = 4
"""The largest number of lines of a training in a log."""
_SILENCE = 30.0
"""The smallest number of seconds between two lines of a training in a log."""


class PlannedTraining(NamedTuple):
    """One training of a run."""

    steps: int
    cost: float
    """The cost of a step, in a unit that all trainings of the run share."""


class RunProgress:
    """The progress of the trainings of a run, one after the other, and the time that the rest will take.

    Only trainings of this process are measured. The time of a training to come is estimated by its cost, at the seconds
    that a unit of cost has taken so far.

    Args:
        trainings: Every training of the run by its name.
        after: The cost of the work after the last training, in the same unit.
        done: The names of those that are done already.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        trainings: Mapping[str, PlannedTraining],
        after: float = 0.0,
        done: Collection[str] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._trainings, self._after, self._clock = dict(trainings), after, clock
        self._done = set(done)
        self._spent = self._seconds = 0.0

    def of(self, name: str) -> "TrainingProgress":
        """One of its trainings."""
        return TrainingProgress(self, name)

    def place(self) -> str:
        """The number of the next training and of all, such as "3 of 5"."""
        return f"{len(self._done & self._trainings.keys()) + 1} of {len(self._trainings)}"

    def now(self) -> float:
        """Seconds, from any moment."""
        return self._clock()

    def note(self, name: str, steps: int, seconds: float) -> None:
        """Counts steps of a training and the time that they took."""
        self._spent += steps * self._trainings[name].cost
        self._seconds += seconds

    def finish(self, name: str) -> None:
        """Notes that a training is done."""
        self._done.add(name)

    def seconds_after(self, name: str) -> float | None:
        """Seconds for all that follows a training; None if nothing was measured yet."""
        if not self._spent:
            return None
        coming = [each for other, each in self._trainings.items() if other not in {*self._done, name}]
        return self._seconds / self._spent * (self._after + sum(each.steps * each.cost for each in coming))


class TrainingProgress:
    """The progress of one training of a run.

    Args:
        run: The run.
        name: The training's name in it.
    """

    def __init__(self, run: RunProgress, name: str) -> None:
        self._run, self._name = run, name
        self._began = self._at = self._steps = 0
        self._seconds, self._last = 0.0, run.now()

    @property
    def place(self) -> str:
        """The number of this training and of all, if it is the next."""
        return self._run.place()

    def begin(self, step: int, steps: int) -> None:
        """Starts the clock at a step, of this many in all."""
        self._began = self._at = step
        self._steps, self._seconds, self._last = steps, 0.0, self._run.now()

    def advance(self, step: int) -> None:
        """Notes that a step is done."""
        now = self._run.now()
        self._run.note(self._name, step - self._at, now - self._last)
        self._seconds += now - self._last
        self._at, self._last = step, now

    def seconds_left(self) -> float | None:
        """Seconds until the whole run is done; None before the first step."""
        later = self._run.seconds_after(self._name)
        if later is None or self._at == self._began:
            return None
        return self._seconds / (self._at - self._began) * (self._steps - self._at) + later


class Progress(ProgressCallback):
    """The Trainer's bar, with the last loss, interchange accuracy and the time left in it instead of a line per log.

    If the output is neither a terminal nor a notebook, it writes a few lines instead: one at the end, and one at each
    quarter of the steps that comes half a minute or more after the last line.

    Args:
        label: The name of the student that is trained.
        training: The progress of the training and its run; None if it is not part of a run.
        watched: Whether a bar is drawn; if None, whether standard error is a terminal or a notebook.
        clock: Tells seconds.
    """

    def __init__(
        self,
        label: str,
        training: TrainingProgress | None = None,
        watched: bool | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__()
        self._label = label if training is None else f"{label}: {training.place}"
        self._training, self._clock, self._told = training, clock, clock()
        self._shown: dict[str, str] = {}
        self._watched = is_watched() if watched is None else watched

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Opens the bar."""
        self.current_step, self._told = state.global_step, self._clock()
        if self._training is not None:
            self._training.begin(state.global_step, state.max_steps)
        if self._watched:
            super().on_train_begin(args, state, control)
        if self.training_bar is not None:
            self.training_bar.set_description(self._label)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Moves the bar, or writes a line."""
        if self._training is not None:
            self._training.advance(state.global_step)
        if self.training_bar is not None:
            self.training_bar.set_postfix_str(", ".join(self._facts()), refresh=False)
        if self._watched:
            super().on_step_end(args, state, control)
            return
        before, self.current_step = self.current_step, state.global_step
        quarters = {_PARTS * step // max(state.max_steps, 1) for step in (before, state.global_step)}
        last = state.global_step >= state.max_steps
        if state.is_world_process_zero and (last or (len(quarters) > 1 and self._clock() - self._told >= _SILENCE)):
            self._told = self._clock()
            at = f"{self._label}, step {state.global_step} of {state.max_steps}"
            print(at, *self._facts(), sep=", ", file=sys.stderr, flush=True)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Notes the loss, and what else was measured last."""
        if not logs or "loss" not in logs:
            return
        self._shown["loss"] = f"{logs['loss']:.4f}"
        if self._watched:
            self._shown |= {name: f"{value:.3f}" for name, value in logs.items() if name.startswith(_MEASURED)}
        if self.training_bar is not None:
            self.training_bar.set_postfix_str(", ".join(self._facts()))

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Closes the bar."""
        if self.training_bar is not None:
            super().on_train_end(args, state, control)

    def _facts(self) -> list[str]:
        facts = [f"{name} {value}" for name, value in self._shown.items()]
        left = None if self._training is None else self._training.seconds_left()
        return facts if left is None else [*facts, f"about {duration(left)} left for the run"]


def duration(seconds: float) -> str:
    """A time for people: seconds below two minutes, minutes below two hours, hours above."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def is_watched() -> bool:
    """Whether standard error is a terminal or a notebook, where a bar can move."""
    return sys.stderr.isatty() or is_in_notebook()
