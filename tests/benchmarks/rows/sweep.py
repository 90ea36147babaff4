"""Interchange accuracy of every teacher block with every student block, beside pyvene site by site."""

from collections.abc import Callable
from dataclasses import replace

from causalkd.alignment.resolve import resolve
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.measures.iia import measure
from tests.benchmarks.floors import cellwise_cost, sweep_cost
from tests.benchmarks.measure import paired_ratios
from tests.benchmarks.pyvene_runs import intervenable, pyvene_sweep
from tests.benchmarks.row import Row
from tests.benchmarks.rows.diito_step import ratio_row
from tests.benchmarks.setting import Setting, batch_of, student_of, teacher_of

Grid = list[list[float]]


def rows(setting: Setting) -> list[Row]:
    """`sweep_6x3_vs_pyvene`."""
    return [sweep_row("sweep_6x3_vs_pyvene", 0.12, setting)]


def sweep_row(name: str, bar: float, setting: Setting) -> Row:
    """Both sweeps over one batch of two-class classifiers in eval mode, without baselines."""
    setting = replace(setting, task="classification")
    ratio = paired_ratios(cell_by_cell(setting), {"sweep": our_sweep(setting)}, setting.rounds)["sweep"]
    return ratio_row(name, ratio, bar, sweep_cost(setting), cellwise_cost(setting), setting)


def our_sweep(setting: Setting) -> Callable[[], Grid]:
    """The verification's own measurement."""
    teacher = HookedModel(teacher_of(setting), task=setting.task, role="teacher")
    student = HookedModel(student_of(setting), task=setting.task, role="student")
    alignment, batch = resolve(setting.alignment, teacher, student), batch_of(setting)

    def sweep() -> Grid:
        scores = measure(teacher, student, alignment, [batch], baselines=()).scores
        grid = [[0.0] * setting.student_layers for _ in range(setting.teacher_layers)]
        for score in scores:
            grid[score.comparison.teacher_layer][score.comparison.student_layer] = score.iia
        return grid

    return sweep


def cell_by_cell(setting: Setting) -> Callable[[], Grid]:
    """The sweep with pyvene, with one wrapper per hook point made beforehand."""
    teacher, student = teacher_of(setting), student_of(setting).eval()
    teachers = [intervenable(teacher, layer, setting) for layer in range(setting.teacher_layers)]
    students = [intervenable(student, layer, setting) for layer in range(setting.student_layers)]
    batch = batch_of(setting)
    return lambda: pyvene_sweep(teachers, students, batch)
