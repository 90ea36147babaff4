"""A DIITO step of a masked language model beside the same step written with pyvene."""

from tests.benchmarks.floors import diito_cost, pyvene_cost
from tests.benchmarks.measure import paired_ratios
from tests.benchmarks.row import Row
from tests.benchmarks.rows.diito_step import ratio_row
from tests.benchmarks.setting import Setting
from tests.benchmarks.steps import diito_step, pyvene_step


def rows(setting: Setting) -> list[Row]:
    """`diito_vs_pyvene`."""
    ratio = paired_ratios(pyvene_step(setting), {"step": diito_step(setting)}, setting.rounds)["step"]
    return [ratio_row("diito_vs_pyvene", ratio, 0.5, diito_cost(setting), pyvene_cost(setting), setting)]
