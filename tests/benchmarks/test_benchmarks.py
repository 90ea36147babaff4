"""The benchmark runs, compares like with like, and its ratios do not follow the machine's speed."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from transformers.models.bert.modeling_bert import BertLayer

from causalkd.training.compute import BlockForwards
from tests.benchmarks import measure
from tests.benchmarks.__main__ import main
from tests.benchmarks.floors import Cost, cellwise_cost, diito_cost, plain_cost, pyvene_cost, sweep_cost
from tests.benchmarks.plain import plain_loss
from tests.benchmarks.pyvene_runs import intervenable, pyvene_loss, with_hidden
from tests.benchmarks.row import row_modules
from tests.benchmarks.rows.sweep import cell_by_cell, our_sweep
from tests.benchmarks.setting import FULL, SMOKE, Setting, batch_of, student_of, teacher_of
from tests.benchmarks.steps import diito_trainer, pyvene_step

IDS = {
    *("diito_step_vs_kd", "diito_step_vs_own_kd", "diito_fresh_vs_kd", "diito_cls_vs_kd", "diito_memory_vs_kd"),
    *("diito_vs_pyvene", "diito_cls_vs_pyvene", "hooked_vs_bare", "hooked_vs_bare_kept", "diito_scaling"),
    "diito_anchor_vs_kd",
    *("diito_short_rows_vs_kd", "diito_long_rows_vs_kd", "diito_few_rows_vs_kd", "diito_many_rows_vs_kd"),
    *("sweep_6x3_vs_pyvene", "sweep_12x6_vs_pyvene"),
}
TINY_MEMORY = {"diito_step": 1.5, "plain_step": 1.0}


def test_it_writes_and_prints_every_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Processes of their own take seconds to import torch; the slow test below starts them.
    monkeypatch.setattr(
        "tests.benchmarks.rows.diito_memory.step_memory", lambda function, setting: TINY_MEMORY[function.split(":")[1]]
    )
    for name in ("adkd", "diito_scaling"):
        monkeypatch.setattr(f"tests.benchmarks.rows.{name}.step_ratio", _ratio_in_this_process)
    monkeypatch.setattr("tests.benchmarks.rows.adkd.step_memory", lambda function, setting: 1.0)
    monkeypatch.setattr("tests.benchmarks.rows.divergences.step_memory", lambda function, setting: 1.0)
    # More than the gradients, which the row takes off.
    monkeypatch.setattr("tests.benchmarks.rows.fused.step_memory", lambda function, setting: 1000.0)
    threads = torch.get_num_threads()
    path = tmp_path / "folder" / "bench.json"
    rows = main(["--smoke", "--output", str(path)])
    written = json.loads(path.read_text(encoding="utf-8"))
    printed = capsys.readouterr().out
    assert [row["id"] for row in written] == [row.id for row in rows]
    assert {row.id for row in rows} >= IDS
    for row in written:
        assert {"id", "value", "bar", "floor", "unit"} <= set(row)
        assert row["value"] > 0
        assert row["id"] in printed
    assert torch.get_num_threads() == threads


def _ratio_in_this_process(reference: str, function: str, setting: Setting) -> measure.Ratio:
    return measure.Ratio(**measure.ratio_of(setting, reference, function))


def test_only_the_named_modules_run_and_other_rows_stay(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps([{"id": "hooked_vs_bare", "value": -1}, {"id": "other", "value": 5}]), encoding="utf-8")
    rows = main(["--smoke", "--only", "hooked", "--rounds", "2", "--output", str(path)])
    assert {row.id for row in rows} == {"hooked_vs_bare", "hooked_vs_bare_kept"}
    assert "hooked" in row_modules()
    written = {row["id"]: row["value"] for row in json.loads(path.read_text(encoding="utf-8"))}
    assert written == {"other": 5, **{row.id: row.value for row in rows}}


@pytest.mark.parametrize("task", ["masked_lm", "classification"])
def test_the_plain_step_does_the_work_of_our_objectives(task: Any) -> None:
    setting = replace(SMOKE, dropout=0.0, task=task)
    teacher, student, batch = teacher_of(setting), student_of(setting), batch_of(setting, padding=True)
    assert batch.labels is not None
    plain = plain_loss(teacher, student, batch.inputs, batch.labels)
    plain.backward()
    trainer = diito_trainer(setting, diito=False)
    ours = trainer.compute_loss(trainer.student.model, batch.tensors())
    ours.backward()
    _assert_same_step(ours, plain, trainer.student.model, student)


@pytest.mark.parametrize("task", ["masked_lm", "classification"])
def test_pyvenes_step_does_the_work_of_ours(task: Any) -> None:
    setting = replace(SMOKE, dropout=0.0, task=task)
    batch, trainer = batch_of(setting), diito_trainer(setting)
    teacher, student = with_hidden(teacher_of(setting), setting), with_hidden(student_of(setting), setting)
    (pair,) = setting.alignment.pairs
    wrappers = [intervenable(teacher, pair.teacher[0].layer, setting)]
    wrappers += [intervenable(student, pair.student[0].layer, setting)]
    for _ in range(2):  # pyvene takes hooks off at every call
        student.zero_grad()
        theirs = pyvene_loss(*wrappers, batch)
    theirs.backward()
    ours = trainer.compute_loss(trainer.student.model, batch.tensors())
    ours.backward()
    _assert_same_step(ours, theirs, trainer.student.model, student)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def _assert_same_step(ours: Tensor, theirs: Tensor, model: nn.Module, other: nn.Module) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    for (name, parameter), untrained_student in zip(other.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(untrained_student.grad, parameter.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_both_sweeps_find_the_same_accuracies() -> None:
    setting = replace(SMOKE, task="classification", spread=0.5)
    ours, theirs = our_sweep(setting)(), cell_by_cell(setting)()
    assert ours == theirs
    assert len({accuracy for row in ours for accuracy in row}) > 1


@pytest.mark.parametrize("sources", ["batch", "dataset"])
@pytest.mark.parametrize("diito", [False, True])
def test_the_floor_counts_the_blocks_that_run(diito: bool, sources: Any) -> None:
    setting = replace(SMOKE, sources=sources)
    trainer, counter = diito_trainer(setting, diito), BlockForwards()
    with counter.counting(trainer.student, trainer.teacher):
        trainer.compute_loss(trainer.student.model, batch_of(setting).tensors())
    cost = diito_cost(setting) if diito else plain_cost(setting)
    assert counter.total == SMOKE.rows * cost.blocks


def test_the_floor_of_pyvene_counts_the_blocks_that_run_forward_and_backward() -> None:
    forward: list[int] = []
    backward: list[int] = []

    def count(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(module, BertLayer):
            hidden = output[0] if isinstance(output, tuple) else output
            forward.append(len(hidden))
            if hidden.requires_grad:
                hidden.register_hook(lambda gradient: backward.append(len(gradient)))

    step = pyvene_step(SMOKE)
    handle = register_module_forward_hook(count)
    try:
        step()
    finally:
        handle.remove()
    assert sum(forward) + 2 * sum(backward) == SMOKE.rows * pyvene_cost(SMOKE).blocks
    assert len(set(forward + backward)) == 1


@pytest.mark.parametrize(("layers", "ratio"), [((6, 3), 0.083), ((12, 6), 0.038)])
def test_the_floor_of_the_sweep(layers: tuple[int, int], ratio: float) -> None:
    setting = Setting(*layers, task="classification")
    assert sweep_cost(setting).blocks / cellwise_cost(setting).blocks == pytest.approx(ratio, abs=5e-4)


def test_the_floor_at_the_full_shape() -> None:
    plain, diito = plain_cost(FULL), diito_cost(FULL)
    assert (plain.blocks, diito.blocks) == (15, 20)
    assert pyvene_cost(FULL) == Cost(43, 10)
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
    taken = measure.step_memory("tests.benchmarks.rows.divergences:plain", setting) / tensor
    assert 3 < taken < 6.5  # up to six whole tensors, and what the allocator adds


@pytest.mark.slow
def test_memory_is_that_of_the_step() -> None:
    setting = replace(SMOKE, vocabulary=30522, rows=8, tokens=64)
    logits = setting.rows * setting.tokens * setting.vocabulary * 4 / 2**20
    taken = measure.step_memory("tests.benchmarks.steps:plain_step", setting)
    assert 3 * logits < taken < 20 * logits


def test_a_ratio_is_that_of_the_two_steps_that_were_named() -> None:
    # A forward and backward of the student alone, and the plain step, in which a teacher runs as well.
    steps = ("tests.benchmarks.rows.hooked:bare_step", "tests.benchmarks.steps:plain_step")
    ratio, inverse = (measure.ratio_of(replace(SMOKE, rounds=5), *pair) for pair in (steps, steps[::-1]))
    assert ratio["low"] <= ratio["wall"] <= ratio["high"]
    assert ratio["cpu"] > 1.1 and inverse["cpu"] < 1 / 1.1


@pytest.mark.slow
def test_a_ratio_from_a_process_of_its_own() -> None:
    steps = ("tests.benchmarks.rows.hooked:bare_step", "tests.benchmarks.steps:plain_step")
    assert measure.step_ratio(*steps, replace(SMOKE, rounds=5)).cpu > 1.1
