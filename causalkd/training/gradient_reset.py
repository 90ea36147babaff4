"""What happens around an optimizer step of a DistillationTrainer."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from causalkd.training.objective_parameters import ObjectiveParameters
from causalkd.training.unreached import Unreached


class GradientReset(TrainerCallback):
    """Forgets gradients that a step must not see: of weights that no objective reaches, and of what objectives learn.

    Args:
        learned: What objectives learn.
        unreached: The weights that no objective reaches.
    """

    def __init__(self, learned: ObjectiveParameters, unreached: Unreached) -> None:
        self._learned, self._unreached = learned, unreached

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Leaves weights that no objective reaches as they are."""
        self._unreached.forget_gradients()

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Lets what objectives learn begin the next step anew; also called after one that mixed precision skipped."""
        self._learned.forget_gradients()
