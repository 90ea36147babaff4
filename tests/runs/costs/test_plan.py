"""A plan has every stage of the recipe, with what it costs in words that a reader can check."""

from pathlib import Path

import pytest

from causalkd.runs.costs.plan import Plan, plan, planned
from causalkd.runs.setup.data import build_data
from causalkd.runs.setup.prepare import build_alignment, build_teacher
from tests.shrunk import shrunk


def test_every_stage_is_planned_and_nothing_is_written(tmp_path: Path) -> None:
    changes = ("training.gradient_accumulation=2", "seeds=[0, 1]", "verification.tolerance=0.1")
    told: list[str] = []
    found = plan(shrunk("quickstart", tmp_path / "run", *changes), speed=1e9, tell=told.append)
    assert told == ["verification.tolerance is 0.1 and has no effect in this recipe: it acts only with a regression"]
    assert [stage.name for stage in found.stages] == [
        *("teacher", "kd-seed0", "kd-seed1", "diito-seed0", "diito-seed1", "verification")
    ]
    assert [stage.steps for stage in found.stages] == [6, 6, 6, 4, 4, 2]
    assert not (tmp_path / "run").exists()
    assert found.seconds == pytest.approx(sum(stage.flops for stage in found.stages) / 1e9)
    halved = plan(shrunk("quickstart", tmp_path / "run"), speed=1e9)
    assert found.stages[1].flops_per_step == 2 * halved.stages[1].flops_per_step  # two micro-batches
    assert found.stages[1].memory == halved.stages[1].memory
    teacher, student = found.stages[0], found.stages[1]
    assert teacher.parameters > student.parameters
    assert student.memory > 4 * (teacher.parameters + 4 * student.parameters)  # both models, gradients, two moments
    assert student.disk == 4 * 7 * student.parameters


def test_the_table_and_the_line_name_numbers_with_units(tmp_path: Path) -> None:
    found = plan(shrunk("quickstart", tmp_path / "run"), speed=2e9)
    table, line = found.table().splitlines(), found.line()
    assert table[0].split() == ["stage", "parameters", "steps", "FLOP/step", "tokens/s", "memory", "disk", "time"]
    assert [row.split()[0] for row in table[1:5]] == ["teacher", "kd-seed0", "diito-seed0", "verification"]
    assert line in table and "2 GFLOP/s" in line and "4 stages" in line and " MB of memory" in line


def test_the_speed_is_measured_where_none_is_given(tmp_path: Path) -> None:
    assert plan(shrunk("quickstart", tmp_path / "run")).speed > 1e6


def test_the_time_left_is_reckoned_by_the_plan(tmp_path: Path) -> None:
    found = plan(shrunk("quickstart", tmp_path / "run"), speed=1e9)
    run = found.progress(["teacher"])
    assert run.of("kd-seed0").place == "2 of 3"
    _, student, other, verification = found.stages
    run.note("kd-seed0", student.steps, 12.0)
    expected = 12.0 / student.flops * (other.flops + verification.flops)
    assert run.seconds_after("kd-seed0") == pytest.approx(expected)


def test_a_stage_has_its_own_tokens_and_the_teacher_bytes_and_forwards_where_it_runs(tmp_path: Path) -> None:
    recipe = shrunk("quickstart", tmp_path / "run")
    data = build_data(recipe.data, recipe.teacher)
    teacher = build_teacher(recipe.teacher, data, "teacher")
    alignment = build_alignment(recipe.alignment, teacher, teacher)

    def found(*changes: str) -> Plan:
        return planned(shrunk("quickstart", tmp_path / "run", *changes), data, teacher, alignment, speed=1e9)

    plain, wider = found(), found("students.kd.training={batch_size: 16}")
    for number in (0, 2, 3):  # the table's rows of the stages with other batches than the student's
        assert plain.table().splitlines()[number + 1].split() == wider.table().splitlines()[number + 1].split()
    cached = found("training.teacher_cache={max_mib: 100, on_disk: true}")
    forward = plain.stages[0].flops_per_step / 3
    spared = plain.stages[2].flops_per_step - cached.stages[2].flops_per_step
    assert spared == pytest.approx(forward)  # the first student's outputs are in the file
    teacher.model.bfloat16()
    halved = found()
    for one, other in zip(plain.stages[1:], halved.stages[1:], strict=True):
        assert one.memory - other.memory == 2 * plain.stages[0].parameters
