"""The resetting of gradients around an optimizer step of a DistillationTrainer."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from causalkd.training.objective_parameters import ObjectiveParameters
from causalkd.training.unreached import Unreached


class GradientReset(TrainerCallback):
    """Resets gradients that a step must not see: of weights that no objective reaches, and of objectives' parameters.

    Args:
        learned: The parameters of the objectives.
        unreached: The weights that no objective reaches.
    """

    def __init__(self, learned: ObjectiveParameters, unreached: Unreached) -> None:
        self._learned, self._unreached = learned, unreached

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Leaves weights that no objective reaches unchanged."""
        self._unreached.forget_gradients()

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Clears the gradients of objectives' parameters, also after a step that mixed precision skipped."""
        self._learned.forget_gradients()
