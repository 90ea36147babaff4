"""How a DIITO step's cost follows its own floor as rows get longer and batches larger."""

from dataclasses import replace

from tests.benchmarks import steps
from tests.benchmarks.floors import diito_cost, plain_cost
from tests.benchmarks.measure import step_ratio
from tests.benchmarks.row import Row
from tests.benchmarks.rows.diito_step import ratio_row
from tests.benchmarks.setting import Setting


def rows(setting: Setting) -> list[Row]:
    """`diito_scaling`: the largest relative departure from the floor's course, which the setting's own shape anchors.

    Lengths of a quarter, one and four times the setting's, then as many rows; the floor is that in FLOPs. Each shape
    has a process of its own. Beside it the ratio at the setting's own shape, `diito_anchor_vs_kd`, and at each of the
    others, `diito_long_rows_vs_kd` and so on.
    """
    shapes = {
        "diito_short_rows_vs_kd": replace(setting, tokens=setting.tokens // 4),
        "diito_long_rows_vs_kd": replace(setting, tokens=setting.tokens * 4),
        "diito_few_rows_vs_kd": replace(setting, rows=setting.rows // 4),
        "diito_many_rows_vs_kd": replace(setting, rows=setting.rows * 4),
    }
    anchor = _measured("diito_anchor_vs_kd", setting)
    found = [_measured(name, shape) for name, shape in shapes.items()]
    departures = [abs(_over_floor(row) / _over_floor(anchor) - 1) for row in found]
    return [Row("diito_scaling", max(departures), 0.15, 0.0, "relative departure"), anchor, *found]


def _measured(name: str, shape: Setting) -> Row:
    ratio = step_ratio(f"{steps.__name__}:plain_step", f"{steps.__name__}:diito_step", shape)
    return ratio_row(name, ratio, None, diito_cost(shape), plain_cost(shape), shape)


def _over_floor(row: Row) -> float:
    assert row.floor_flops is not None
    return row.value / row.floor_flops
