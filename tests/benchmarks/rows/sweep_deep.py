"""The sweep over twice as many blocks."""

from dataclasses import replace

from tests.benchmarks.row import Row
from tests.benchmarks.rows.sweep import sweep_row
from tests.benchmarks.setting import Setting


def rows(setting: Setting) -> list[Row]:
    """`sweep_12x6_vs_pyvene`: at the full shape a round takes minutes, nearly all of them pyvene's."""
    deep = replace(setting, teacher_layers=2 * setting.teacher_layers, student_layers=2 * setting.student_layers)
    return [sweep_row("sweep_12x6_vs_pyvene", 0.06, deep)]
