"""A step sees no gradient that is not its own."""

from pathlib import Path

from transformers import TrainerControl, TrainerState, TrainingArguments

from causalkd.training.gradient_reset import GradientReset
from causalkd.training.objective_parameters import ObjectiveParameters
from causalkd.training.unreached import Unreached


def test_gradients_are_forgotten_before_and_after_a_step(tmp_path: Path) -> None:
    told: list[str] = []
    learned, unreached = ObjectiveParameters({}), Unreached()
    learned.forget_gradients = lambda: told.append("after")  # type: ignore[method-assign]
    unreached.forget_gradients = lambda: told.append("before")  # type: ignore[method-assign]
    around = GradientReset(learned, unreached)
    given = (TrainingArguments(output_dir=str(tmp_path), use_cpu=True), TrainerState(), TrainerControl())
    around.on_pre_optimizer_step(*given)
    around.on_optimizer_step(*given)
    assert told == ["before", "after"]
