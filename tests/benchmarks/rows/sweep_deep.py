"""The sweep over twice as many blocks."""

from dataclasses import replace

from tests.benchmarks.row import Row
from tests.benchmarks.rows.sweep import sweep_row
from tests.benchmarks.setting import Setting


def rows(setting: Setting) -> list[Row]:
    """`sweep_12x6_vs_pyvene`, over a quarter of the rows.

    Both sides cost the same per row, so the ratio is that of the whole batch, of which a round takes six minutes.
    """
    deep = replace(
        setting,
        teacher_layers=2 * setting.teacher_layers,
        student_layers=2 * setting.student_layers,
        rows=max(2, setting.rows // 4),
    )
    return [sweep_row("sweep_12x6_vs_pyvene", 0.06, deep)]
