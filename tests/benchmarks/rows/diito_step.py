"""A DIITO step of a masked language model beside the plain step and beside our own step without DIITO."""

from dataclasses import replace

from tests.benchmarks.floors import Cost, diito_cost, plain_cost
from tests.benchmarks.measure import Ratio, paired_ratios
from tests.benchmarks.row import Row
from tests.benchmarks.setting import Setting
from tests.benchmarks.steps import diito_fresh_step, diito_step, own_kd_step, plain_step


def rows(setting: Setting) -> list[Row]:
    """`diito_step_vs_kd`, `diito_fresh_vs_kd` with sources from outside the batch, `diito_step_vs_own_kd`."""
    inside, fresh = diito_step(setting), diito_fresh_step(setting)
    to_plain = paired_ratios(plain_step(setting), {"inside": inside, "fresh": fresh}, setting.rounds)
    to_own = paired_ratios(own_kd_step(setting), {"inside": inside}, setting.rounds)
    cost, cost_fresh = diito_cost(setting), diito_cost(replace(setting, sources="dataset"))
    return [
        ratio_row("diito_step_vs_kd", to_plain["inside"], 1.3, cost, plain_cost(setting), setting),
        ratio_row("diito_fresh_vs_kd", to_plain["fresh"], 1.85, cost_fresh, plain_cost(setting), setting),
        ratio_row("diito_step_vs_own_kd", to_own["inside"], 1.55, cost, plain_cost(setting), setting),
    ]


def ratio_row(name: str, ratio: Ratio, bar: float | None, cost: Cost, reference: Cost, setting: Setting) -> Row:
    """A ratio of times with its floors."""
    floor, flops = cost.blocks / reference.blocks, cost.flops(setting) / reference.flops(setting)
    return Row(name, ratio.wall, bar, floor, "ratio of times", ratio.low, ratio.high, ratio.cpu, flops)
