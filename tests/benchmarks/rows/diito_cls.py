"""A DIITO step of a two-class classifier beside the plain step and beside pyvene."""

from dataclasses import replace

from tests.benchmarks.floors import diito_cost, plain_cost, pyvene_cost
from tests.benchmarks.measure import paired_ratios
from tests.benchmarks.row import Row
from tests.benchmarks.rows.diito_step import ratio_row
from tests.benchmarks.setting import Setting
from tests.benchmarks.steps import diito_step, plain_step, pyvene_step


def rows(setting: Setting) -> list[Row]:
    """`diito_cls_vs_kd` and `diito_cls_vs_pyvene`."""
    setting = replace(setting, task="classification")
    step = diito_step(setting)
    to_plain = paired_ratios(plain_step(setting), {"step": step}, setting.rounds)["step"]
    to_pyvene = paired_ratios(pyvene_step(setting), {"step": step}, setting.rounds)["step"]
    cost = diito_cost(setting)
    return [
        ratio_row("diito_cls_vs_kd", to_plain, 1.45, cost, plain_cost(setting), setting),
        ratio_row("diito_cls_vs_pyvene", to_pyvene, 0.5, cost, pyvene_cost(setting), setting),
    ]
