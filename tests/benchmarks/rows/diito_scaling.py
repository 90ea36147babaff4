"""How a DIITO step's cost follows its own floor as rows get longer and batches larger."""

from dataclasses import replace

from tests.benchmarks.floors import diito_cost, plain_cost
from tests.benchmarks.measure import paired_ratios
from tests.benchmarks.row import Row
from tests.benchmarks.setting import Setting
from tests.benchmarks.steps import diito_step, plain_step


def rows(setting: Setting) -> list[Row]:
    """`diito_scaling`: the largest relative departure from the floor's course, which the setting's own shape anchors.

    Lengths of a quarter, one and four times the setting's, then as many rows; the floor is that in FLOPs.
    """
    scales = (0.25, 4)
    shapes = [replace(setting, tokens=int(scale * setting.tokens)) for scale in scales]
    shapes += [replace(setting, rows=int(scale * setting.rows)) for scale in scales]
    anchor = _over_floor(setting)
    departures = [abs(_over_floor(shape) / anchor - 1) for shape in shapes]
    return [Row("diito_scaling", max(departures), 0.15, 0.0, "relative departure")]


def _over_floor(setting: Setting) -> float:
    ratio = paired_ratios(plain_step(setting), {"diito": diito_step(setting)}, setting.rounds)["diito"].wall
    return ratio * plain_cost(setting).flops(setting) / diito_cost(setting).flops(setting)
