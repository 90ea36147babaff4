"""The evaluations of a DistillationTrainer: by a measure of its own, or the mean loss of batches, labelled or not."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer

from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.training.sharding import not_finite
from causalkd.training.term_sums import DIVERGED


class EvaluatingTrainer(Trainer):
    """A Trainer whose batches are nested, and which may have a measure of its own for `student`."""

    student: HookedModel
    teacher: HookedModel | None
    _entries: int | None
    """The vocabulary entries that both models share."""
    _measure: Callable[[], Mapping[str, float]] | None = None

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """The result of `measure`, the same in every process; if data are given, or there is no `measure`, the
        Trainer's mean over batches.
        """
        self._share_entries()
        if self._measure is None or eval_dataset is not None:
            return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
        self.check_weights()  # before the measure meets outputs that are not finite
        with evaluating([self.student]):
            metrics = {f"{metric_key_prefix}_{name}": value for name, value in self._measure().items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def check_weights(self) -> None:
        """Refuses a student with weights that are not finite numbers.

        Raises:
            ValueError: A weight is not a finite number.
        """
        if spoilt := not_finite(self.student.model):
            raise ValueError(f"{len(spoilt)} weights, such as {spoilt[0]}, are not finite. {DIVERGED}")

    def _share_entries(self) -> None:
        # Before every step and evaluation: another training of this teacher may have shared other entries since.
        for model in (self.student, self.teacher):
            if model is not None:
                model.entries = self._entries

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """The loss of a batch, its logits and labels; the Trainer's own finds no loss in rows without `labels`."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            found: Any = self.compute_loss(model, inputs, return_outputs=not prediction_loss_only)
        if prediction_loss_only:  # then no logits are held of tokens that no loss reads
            return found.detach(), None, None
        loss, outputs = found
        return loss.detach(), outputs["logits"].detach(), inputs.get("labels")
