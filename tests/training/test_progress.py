"""The bar at a terminal, the few lines of a log, and the time left for a whole run."""

from pathlib import Path

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from causalkd.training.progress import PlannedTraining, Progress, RunProgress, duration

LOGS = {"loss": 0.5, "term/task": 0.25, "learning_rate": 0.1, "grad_norm": 1.0, "epoch": 0.5}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def run(clock: Clock) -> RunProgress:
    """A teacher, two students and a verification that costs as much as 10 steps of the teacher."""
    trainings = {
        "teacher": PlannedTraining(100, 2.0),
        "kd-seed0": PlannedTraining(50, 1.0),
        "diito-seed0": PlannedTraining(40, 3.0),
    }
    return RunProgress(trainings, 20.0, clock=clock)


@pytest.fixture
def args(tmp_path: Path) -> TrainingArguments:
    return TrainingArguments(output_dir=str(tmp_path / "work"), report_to="none")


def _at(step: int, steps: int = 10, main: bool = True) -> TrainerState:
    return TrainerState(global_step=step, is_world_process_zero=main, max_steps=steps)


def _steps(run: RunProgress, clock: Clock, name: str, first: int, last: int, of: int, seconds: float):
    training = run.of(name)
    training.begin(first, of)
    for step in range(first + 1, last + 1):
        clock.time += seconds
        training.advance(step)
    return training


def test_nothing_is_said_of_the_time_before_anything_is_measured(run: RunProgress, clock: Clock) -> None:
    assert _steps(run, clock, "teacher", 0, 0, 100, 1.0).seconds_left() is None


def test_what_is_to_come_is_reckoned_by_its_cost(run: RunProgress, clock: Clock) -> None:
    # A step of cost 2 takes 4 s. 90 of them are left, then 50 of cost 1, 40 of cost 3, and what costs 20.
    teacher = _steps(run, clock, "teacher", 0, 10, 100, 4.0)
    assert teacher.seconds_left() == 90 * 4 + 2 * (50 + 120 + 20)


def test_the_steps_of_a_training_are_reckoned_by_its_own_seconds(run: RunProgress, clock: Clock) -> None:
    _steps(run, clock, "teacher", 0, 100, 100, 4.0)
    run.finish("teacher")
    student = _steps(run, clock, "kd-seed0", 0, 10, 50, 7.0)
    # 470 s for a cost of 210 so far, and 120 + 20 are to come after the 40 steps that are left.
    assert student.seconds_left() == pytest.approx(40 * 7 + 470 / 210 * 140)


def test_what_was_done_before_is_neither_to_come_nor_measured(clock: Clock) -> None:
    trainings = {"teacher": PlannedTraining(100, 2.0), "kd-seed0": PlannedTraining(50, 1.0)}
    run = RunProgress(trainings, done=["teacher"], clock=clock)
    student = _steps(run, clock, "kd-seed0", 20, 30, 50, 3.0)  # continued at step 20
    assert (student.place, student.seconds_left()) == ("2 of 2", 20 * 3)


def test_the_time_that_passes_between_trainings_counts_for_none(run: RunProgress, clock: Clock) -> None:
    _steps(run, clock, "teacher", 0, 100, 100, 4.0)
    run.finish("teacher")
    clock.time += 1000
    assert _steps(run, clock, "kd-seed0", 0, 50, 50, 2.0).seconds_left() == 2 * 140


def test_the_bar_shows_which_model_its_loss_and_the_time_left(
    args: TrainingArguments, capsys: pytest.CaptureFixture[str], run: RunProgress, clock: Clock
) -> None:
    bar, control = Progress("student kd, seed 0", run.of("kd-seed0"), watched=True), TrainerControl()
    bar.on_log(args, _at(0), control, logs=LOGS)  # before it is open
    bar.on_train_begin(args, _at(0, 50), control)
    clock.time += 2
    bar.on_step_end(args, _at(1, 50), control)
    bar.on_log(args, _at(1, 50), control, logs=LOGS)
    bar.on_log(args, _at(1, 50), control, logs={**LOGS, "iia_effective/middle": 0.25})
    bar.on_log(args, _at(1, 50), control, logs={**LOGS, "loss": 0.375})
    bar.on_train_end(args, _at(1, 50), control)
    told = capsys.readouterr()
    assert told.out == "" and "student kd, seed 0: 1 of 3" in told.err
    left = 49 * 2 + 2 * (200 + 120 + 20)  # the teacher is not done here
    assert f"loss 0.5000, about {left / 60:.0f} min left for the run" in told.err
    assert "loss 0.3750, iia_effective/middle 0.250, about 13 min left" in told.err


def test_a_training_that_is_no_part_of_a_run_has_a_plain_bar(
    args: TrainingArguments, capsys: pytest.CaptureFixture[str]
) -> None:
    bar, control = Progress("teacher, seed 0", watched=True), TrainerControl()
    bar.on_train_begin(args, _at(0), control)
    bar.on_step_end(args, _at(1), control)
    bar.on_log(args, _at(1), control, logs=LOGS)
    bar.on_train_end(args, _at(1), control)
    told = capsys.readouterr().err
    assert "teacher, seed 0:" in told and "loss 0.5000" in told and " of " not in told and "left for" not in told


def test_only_the_first_process_has_a_bar(args: TrainingArguments, capsys: pytest.CaptureFixture[str]) -> None:
    bar, control = Progress("kd", watched=True), TrainerControl()
    bar.on_train_begin(args, _at(0, main=False), control)
    bar.on_step_end(args, _at(1, main=False), control)
    bar.on_log(args, _at(1, main=False), control, logs=LOGS)
    bar.on_train_end(args, _at(1, main=False), control)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("steps", "seconds", "lines"), [(10, 100.0, 4), (1000, 100.0, 4), (2, 100.0, 2), (1000, 0.001, 1), (100, 0.7, 2)]
)
def test_a_log_gets_a_line_at_the_end_and_at_quarters_half_a_minute_apart(
    args: TrainingArguments,
    capsys: pytest.CaptureFixture[str],
    clock: Clock,
    steps: int,
    seconds: float,
    lines: int,
) -> None:
    bar, control = Progress("teacher, seed 0", clock=clock), TrainerControl()  # pytest's standard error is no terminal
    bar.on_train_begin(args, _at(0, steps), control)
    for step in range(1, steps + 1):
        clock.time += seconds
        bar.on_step_end(args, _at(step, steps), control)
        bar.on_log(args, _at(step, steps), control, logs={**LOGS, "loss": 1 / step})
    bar.on_train_end(args, _at(steps, steps), control)
    told = capsys.readouterr()
    assert told.out == "" and len(told.err.splitlines()) == lines and "\r" not in told.err
    assert told.err.splitlines()[-1] == f"teacher, seed 0, step {steps} of {steps}, loss {1 / (steps - 1):.4f}"


def test_a_line_of_a_log_has_the_time_left(
    args: TrainingArguments, capsys: pytest.CaptureFixture[str], run: RunProgress, clock: Clock
) -> None:
    bar, control = Progress("teacher, seed 0", run.of("teacher"), clock=clock), TrainerControl()
    bar.on_train_begin(args, _at(0, 100), control)
    for step in range(1, 26):
        clock.time += 4
        bar.on_step_end(args, _at(step, 100), control)
    assert capsys.readouterr().err == "teacher, seed 0: 1 of 3, step 25 of 100, about 11 min left for the run\n"


def test_only_the_first_process_writes_lines(args: TrainingArguments, capsys: pytest.CaptureFixture[str]) -> None:
    bar, control = Progress("kd"), TrainerControl()
    bar.on_train_begin(args, _at(0, main=False), control)
    for step in range(1, 11):
        bar.on_step_end(args, _at(step, main=False), control)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0 s"), (119.0, "119 s"), (120.0, "2 min"), (7199.0, "120 min"), (7200.0, "2 h")]
)
def test_a_time_has_the_unit_of_people(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_training_has_the_place_after_all_that_are_done_whatever_their_order(run: RunProgress) -> None:
    assert run.of("teacher").place == "1 of 3"
    run.finish("teacher")
    run.finish("teacher")  # also where another run has trained it
    assert run.of("diito-seed0").place == "2 of 3"
    run.finish("diito-seed0")
    assert run.of("kd-seed0").place == "3 of 3"
