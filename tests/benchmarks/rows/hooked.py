"""A hooked model that nobody intervenes on beside the bare stock model."""

from causalkd.models.hooks.hooked_model import HookedModel
from tests.benchmarks.measure import Step, paired_ratios
from tests.benchmarks.row import Row
from tests.benchmarks.setting import Setting, batch_of, student_of


def rows(setting: Setting) -> list[Row]:
    """`hooked_vs_bare`: no activation kept; `hooked_vs_bare_kept`: one kept. Forward and backward of the student."""
    steps = {"hooked_vs_bare": hooked_step(setting, kept=False), "hooked_vs_bare_kept": hooked_step(setting, kept=True)}
    ratios = paired_ratios(bare_step(setting), steps, setting.rounds)
    return [
        Row(name, ratio.wall, 1.03, 1.0, "ratio of times", ratio.low, ratio.high, ratio.cpu, 1.0)
        for name, ratio in ratios.items()
    ]


def bare_step(setting: Setting) -> Step:
    """Forward and backward of the stock model."""
    model, batch = student_of(setting), batch_of(setting)

    def step() -> None:
        model.zero_grad()
        model(**batch.inputs).logits.mean().backward()

    return step


def hooked_step(setting: Setting, kept: bool) -> Step:
    """Forward and backward of the same model through `HookedModel.run`."""
    model, batch = HookedModel(student_of(setting), task="masked_lm", role="student"), batch_of(setting)
    keep = [model.hook_point("block_output", setting.student_layers // 2)] if kept else []

    def step() -> None:
        model.model.zero_grad()
        model.run(batch.inputs, keep).logits.mean().backward()

    return step
