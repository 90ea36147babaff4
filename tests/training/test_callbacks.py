"""The callbacks of a training: rows without repeats, the epoch, what is measured when saving."""

import json
from pathlib import Path

import pytest
from torch.utils.data import Subset
from transformers import TrainerControl, TrainerState, TrainingArguments

from causalkd.data.pairs.collator import ExampleSet
from causalkd.training.callbacks import EvaluateAtSave, MetricsFile, OnTrainBegin, SetEpoch, read_rows

LOGS = {"loss": 0.5, "term/task": 0.25, "learning_rate": 0.1, "grad_norm": 1.0, "epoch": 0.5}


@pytest.fixture
def args(tmp_path: Path) -> TrainingArguments:
    return TrainingArguments(output_dir=str(tmp_path / "work"), report_to="none")


def _at(step: int, main: bool = True, epoch: float = 0.0) -> TrainerState:
    return TrainerState(global_step=step, is_world_process_zero=main, epoch=epoch, max_steps=10)


def _log(
    file: MetricsFile, args: TrainingArguments, step: int, logs: dict[str, float] | None = LOGS, main: bool = True
) -> None:
    file.on_log(args, _at(step, main), TrainerControl(), logs=logs)


def test_a_row_has_its_owner_its_step_and_the_terms(tmp_path: Path, args: TrainingArguments) -> None:
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path, "kd", 3)
    file.on_train_begin(args, _at(0), TrainerControl())
    assert path.read_text() == ""  # there even if nothing is logged
    _log(file, args, 2)
    expected = {"student": "kd", "seed": 3, "step": 2, "loss": 0.5, "term/task": 0.25}
    assert read_rows(path) == [{**expected, "learning_rate": 0.1, "grad_norm": 1.0}]
    _log(file, args, 4, {"train_loss": 0.1, "train_runtime": 3.0})
    _log(file, args, 4, None)
    assert len(read_rows(path)) == 1


def test_other_processes_write_nothing(tmp_path: Path, args: TrainingArguments) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl", "kd", 0)
    file.on_train_begin(args, _at(0, main=False), TrainerControl())
    _log(file, args, 1, main=False)
    assert not (tmp_path / "metrics.jsonl").exists() and read_rows(tmp_path / "metrics.jsonl") == []


def test_resuming_drops_the_rows_that_will_be_written_again_and_nothing_else(
    tmp_path: Path, args: TrainingArguments
) -> None:
    path = tmp_path / "metrics.jsonl"
    for owner in (("kd", 0), ("kd", 1), ("diito", 0)):
        for step in (2, 4, 6):
            _log(MetricsFile(path, *owner), args, step)
    MetricsFile(path, "kd", 0).on_train_begin(args, _at(4), TrainerControl())
    steps = {(row["student"], row["seed"], row["step"]) for row in read_rows(path)}
    assert steps == {(name, seed, s) for name, seed in (("kd", 1), ("diito", 0)) for s in (2, 4, 6)} | {
        ("kd", 0, 2),
        ("kd", 0, 4),
    }
    MetricsFile(path, "kd", 1).on_train_begin(args, _at(0), TrainerControl())
    assert not [row for row in read_rows(path) if (row["student"], row["seed"]) == ("kd", 1)]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_kill_while_rows_are_dropped_keeps_them(
    tmp_path: Path, args: TrainingArguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.jsonl"
    _log(MetricsFile(path, "kd", 0), args, 2)
    before = path.read_text()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        MetricsFile(path, "diito", 0).on_train_begin(args, _at(0), TrainerControl())
    assert path.read_text() == before


@pytest.mark.parametrize("line", [b'{"step": 2, "lo\x01ss": 1}', b"5", b'{"step": ', b"", b"\xff"])
def test_a_damaged_row_is_named_by_its_line(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b'\n{"cut by a ki')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2 is damaged: .*; delete this line, or put the file"):
        read_rows(path)
    path.write_bytes(b'{"step": 1}\n{"cut by a ki')
    assert read_rows(path) == [{"step": 1}]


def test_the_data_get_their_epoch(args: TrainingArguments) -> None:
    examples = ExampleSet([{"input_ids": [1, 2]}])
    told = SetEpoch(Subset(Subset(examples, [0]), [0]))
    for epoch, expected in ((0.0, 0), (0.8, 0), (1.0, 1), (2.0, 2)):  # resumed within epoch 0: still epoch 0
        told.on_epoch_begin(args, _at(0, epoch=epoch), TrainerControl())
        assert examples[0]["epoch"] == expected


@pytest.mark.parametrize(
    ("strategy", "saved", "measured"), [("no", True, False), ("steps", False, False), ("steps", True, True)]
)
def test_what_is_saved_is_measured_where_checkpoints_are(
    tmp_path: Path, strategy: str, saved: bool, measured: bool
) -> None:
    args = TrainingArguments(str(tmp_path), eval_strategy=strategy, eval_steps=7, report_to="none")
    control = TrainerControl(should_save=saved)
    EvaluateAtSave().on_step_end(args, TrainerState(), control)
    assert control.should_evaluate == measured


def test_something_is_done_when_training_begins(args: TrainingArguments) -> None:
    done: list[str] = []
    OnTrainBegin(lambda: done.append("begun")).on_train_begin(args, _at(0), TrainerControl())
    assert done == ["begun"]
