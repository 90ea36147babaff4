"""The benchmark runs, compares like with like, and its ratios do not follow the machine's speed."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from causalkd.training.compute import BlockForwards
from tests.benchmarks import measure
from tests.benchmarks.__main__ import main
from tests.benchmarks.floors import diito_cost, plain_cost
from tests.benchmarks.plain import plain_loss
from tests.benchmarks.row import row_modules
from tests.benchmarks.rows.diito_step import diito_trainer
from tests.benchmarks.setting import FULL, SMOKE, batch_of, student_of, teacher_of

TINY_MEMORY = {"diito_step": 1.5, "plain_step": 1.0}


def test_it_writes_and_prints_every_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Processes of their own take seconds to import torch; the slow test below starts them.
    monkeypatch.setattr(
        "tests.benchmarks.rows.diito_step.step_memory", lambda function, setting: TINY_MEMORY[function.split(":")[1]]
    )
    monkeypatch.setattr("tests.benchmarks.rows.divergences.step_memory", lambda function, setting: 1.0)
    threads = torch.get_num_threads()
    path = tmp_path / "folder" / "bench.json"
    rows = main(["--smoke", "--output", str(path)])
    written = json.loads(path.read_text(encoding="utf-8"))
    printed = capsys.readouterr().out
    assert [row["id"] for row in written] == [row.id for row in rows]
    assert {"diito_step_vs_kd", "diito_memory_vs_kd", "hooked_vs_bare", "hooked_vs_bare_kept"} <= {
        row.id for row in rows
    }
    for row in written:
        assert {"id", "value", "bar", "floor", "unit"} <= set(row)
        assert row["value"] > 0
        assert row["id"] in printed
    assert torch.get_num_threads() == threads


def test_only_the_named_modules_run(tmp_path: Path) -> None:
    rows = main(["--smoke", "--only", "hooked", "--rounds", "2", "--output", str(tmp_path / "bench.json")])
    assert {row.id for row in rows} == {"hooked_vs_bare", "hooked_vs_bare_kept"}
    assert "hooked" in row_modules()


def test_the_plain_step_does_the_work_of_our_objectives() -> None:
    setting = replace(SMOKE, dropout=0.0)
    teacher, student, batch = teacher_of(setting), student_of(setting), batch_of(setting, padding=True)
    assert batch.labels is not None
    plain = plain_loss(teacher, student, batch.inputs, batch.labels)
    plain.backward()
    trainer = diito_trainer(setting, diito=False)
    ours = trainer.compute_loss(trainer.student.model, batch.tensors())
    ours.backward()
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-6)
    for (name, parameter), twin in zip(student.named_parameters(), trainer.student.model.parameters(), strict=True):
        torch.testing.assert_close(twin.grad, parameter.grad, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("diito", [False, True])
def test_the_floor_counts_the_blocks_that_run(diito: bool) -> None:
    trainer, counter = diito_trainer(SMOKE, diito), BlockForwards()
    with counter.counting(trainer.student, trainer.teacher):
        trainer.compute_loss(trainer.student.model, batch_of(SMOKE).tensors())
    cost = diito_cost(SMOKE) if diito else plain_cost(SMOKE)
    assert counter.total == SMOKE.rows * cost.blocks


def test_the_floor_at_the_full_shape() -> None:
    plain, diito = plain_cost(FULL), diito_cost(FULL)
    assert (plain.blocks, diito.blocks) == (15, 20)
    assert diito.flops(FULL) / plain.flops(FULL) == pytest.approx(1.76, abs=0.01)


def test_a_machine_that_changes_its_speed_changes_no_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 0.0, "steps": 0}

    def working(seconds: float) -> measure.Step:
        def step() -> None:
            slow = 4.0 if clock["steps"] // 3 % 2 else 1.0  # every second round
            clock["now"] += slow * seconds
            clock["steps"] += 1

        return step

    monkeypatch.setattr(time, "perf_counter", lambda: clock["now"])
    monkeypatch.setattr(time, "process_time", lambda: 2 * clock["now"])
    ratios = measure.paired_ratios(working(1.0), {"equal": working(1.0), "dear": working(3.0)}, rounds=9)
    assert ratios == {"equal": measure.Ratio(1, 1, 1, 1), "dear": measure.Ratio(3, 3, 3, 3)}


@pytest.mark.slow
def test_memory_of_the_plain_forward_kl_is_two_logits_tensors_and_more() -> None:
    setting = replace(FULL, divergence_tokens=128)
    tensor = 128 * setting.divergence_vocabulary * 4 / 2**20
    assert 3 < measure.step_memory("tests.benchmarks.rows.divergences:plain", setting) / tensor < 6


@pytest.mark.slow
def test_memory_is_that_of_the_step() -> None:
    setting = replace(SMOKE, vocabulary=30522, rows=8, tokens=64)
    logits = setting.rows * setting.tokens * setting.vocabulary * 4 / 2**20
    taken = measure.step_memory("tests.benchmarks.rows.diito_step:plain_step", setting)
    assert 3 * logits < taken < 20 * logits
