"""AD-KD with three classes beside the straightforward algorithm: first and later epochs, one step and eight."""

from dataclasses import replace

from tests.benchmarks import adkd_steps as steps
from tests.benchmarks.measure import Ratio, paired_ratios, step_memory, step_ratio
from tests.benchmarks.row import Row
from tests.benchmarks.setting import Setting

_MOST_ROUNDS = 5  # a step of the straightforward algorithm takes seconds


def rows(setting: Setting) -> list[Row]:
    """`adkd_first_epoch`, `adkd_later_epochs`, `adkd_m8_time` and `adkd_m8_memory`.

    Floors count, per row of the batch, a block's forward as 1, a backward to its input as 1 and one to its weights as
    1, and the backward through a backward as 2: the plain algorithm takes T (1 + 3) + S (1 + 3 + 3 · 2 + 2) a step.
    """
    short = replace(setting, rounds=min(setting.rounds, _MOST_ROUNDS))
    # Eight steps in processes of their own: after eight graphs a process keeps gigabytes that later ones need.
    eight_steps = [f"{steps.__name__}:{name}" for name in ("plain_m8_step", "later_m8_step")]
    plain_memory, memory = (step_memory(name, short) for name in eight_steps)
    one = paired_ratios(
        steps.plain_step(short, 1),
        {"first": steps.first_epoch_step(short, 1), "later": steps.later_epoch_step(short, 1)},
        short.rounds,
    )
    t, s = setting.teacher_layers, setting.student_layers
    plain = 4 * t + 12 * s
    return [
        _row("adkd_first_epoch", one["first"], 0.8, (3 * t + 9 * s) / plain),
        _row("adkd_later_epochs", one["later"], 0.5, 9 * s / plain),
        # Seven steps are walked twice: for their gradients (1 + 2) and for the gradient of those (9).
        _row("adkd_m8_time", step_ratio(*eight_steps, short), 0.55, (9 + 7 * 12) * s / (8 * plain)),
        Row("adkd_m8_memory", memory / plain_memory, 0.3, None, "ratio of peaks above rest"),
    ]


def _row(name: str, ratio: Ratio, bar: float, floor: float) -> Row:
    return Row(name, ratio.wall, bar, floor, "ratio of times", ratio.low, ratio.high, ratio.cpu)
