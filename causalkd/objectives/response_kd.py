"""Response KD: the student's predictions learn from the teacher's; and the task loss that is used with it."""

from typing import get_args

from jaxtyping import Float
from torch import Tensor

from causalkd.data.batch import IGNORED, Batch
from causalkd.data.token_mask import TOKEN_TASKS, Tokens, targets
from causalkd.errors import check_choice
from causalkd.losses.chunked import check_temperature
from causalkd.losses.divergence_table import DivergenceName
from causalkd.losses.fused import RowLoss
from causalkd.losses.task import task_loss, token_rows
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.objectives.base import Requirements, StepContext, TrainingSetup
from causalkd.objectives.cached_predictions import CachedPredictions
from causalkd.objectives.compare_predictions import Divergence, named_divergence, prediction_distance, prediction_rows
from causalkd.objectives.labelled import how_many_labelled, labelled


class ResponseKD:
    """T² · KL(teacher || student) on base (Hinton et al. 2015; DIITO's L_CE), or another divergence; no more forwards.

    With `scale_by_t2=False` it is AD-KD's L_kd. Differs from the paper: that is the cross-entropy, which is greater by
    the teacher's entropy, a constant. For a regression it is the squared error, whatever the divergence; with
    `scale_by_t2=False`, the squared error of both outputs divided by T, as in AD-KD's release.

    Args:
        temperature: T, dividing both models' logits.
        tokens: For per-token heads, `all` real tokens or only the `labelled` ones (DIITO's restrict_ce_to_mask).
        divergence: The divergence instead of forward KL: `reverse_kl` (MiniLLM), `jensen_shannon` (GKD),
            `total_variation` (f-distill), `skewed_forward_kl` or `skewed_reverse_kl` (DistiLLM), or a registered one.
        share: β of `jensen_shannon` (default 0.5) or α of the skewed ones (default 0.1).
        scale_by_t2: Whether to multiply by T².
        anneal_temperature: T falls linearly from epoch to epoch and is 1 in the last (AD-KD's release; there one
            epoch divides by zero, here its T is 1).

    Raises:
        ValueError: There is no such divergence, it has no share, the temperature is not a positive number, or `tokens`
            is not one of the two.
    """

    def __init__(
        self,
        temperature: float = 2.0,
        tokens: Tokens = "all",
        divergence: DivergenceName = "forward_kl",
        share: float | None = None,
        *,
        scale_by_t2: bool = True,
        anneal_temperature: bool = False,
    ) -> None:
        check_temperature(temperature)
        check_choice("tokens", tokens, get_args(Tokens))
        self.temperature = temperature
        self.tokens: Tokens = tokens
        self._divergence = named_divergence(divergence, share)
        self._scaled, self._annealed = scale_by_t2, anneal_temperature

    def requirements(self) -> Requirements:
        """The logits it compares."""
        return Requirements(logits=self.tokens, two_tokenizers=True)

    def temperature_at(self, epoch: int, epochs: int) -> float:
        """T in the epoch with this number, from 0, of this many epochs."""
        if not self._annealed:
            return self.temperature
        left = 1 - epoch / (epochs - 1) if epoch < epochs - 1 else 0.0
        return 1 + (self.temperature - 1) * left

    def __call__(self, run: StepContext) -> Float[Tensor, ""]:
        """The term of one step."""
        distance = prediction_distance(run.student.task, *self._compared(run))
        return distance if self._scaled else distance / self.temperature_at(run.epoch, run.epochs) ** 2

    def row_loss(self, run: StepContext) -> RowLoss | None:
        """The term as a loss that can share a pass with others; None if it is not such a loss."""
        distance = prediction_rows(run.student.task, *self._compared(run))
        return (
            distance
            if self._scaled or distance is None
            else distance.times(self.temperature_at(run.epoch, run.epochs) ** -2)
        )

    def _compared(
        self, run: StepContext
    ) -> tuple[ForwardOutput, ForwardOutput | CachedPredictions, Batch, float, Tokens, Divergence]:
        temperature = self.temperature_at(run.epoch, run.epochs)
        return run.student_run, run.predicted(), run.batch, temperature, self.tokens, self._divergence


class TaskLoss:
    """The task loss against the labels; needs no teacher and no further forward."""

    def requirements(self) -> Requirements:
        """The logits that have a label."""
        return Requirements(
            logits="labelled", refusal=_written, same_tokens=False, two_tokenizers=True, count=how_many_labelled
        )

    def __call__(self, run: StepContext) -> Float[Tensor, ""]:
        """The term of one step.

        Raises:
            ValueError: The batch has no labels.
        """
        if run.batch.labels is None:
            raise ValueError(
                "the objective `task` needs labels and the data have none; leave it out, or label the data"
            )
        rows = self.row_loss(run)
        if rows is not None:
            return rows.value()
        return task_loss(run.student.task, run.student_run.logits, run.batch.labels, run.batch.counted)

    def row_loss(self, run: StepContext) -> RowLoss | None:
        """The term as a loss that can share a pass with others; None for heads that predict once a row."""
        task, batch = run.student.task, run.batch
        if task not in TOKEN_TASKS or batch.labels is None:
            return None
        # In rows padded on the left, a causal LM's padding, too, comes before a token with a label.
        labels = targets(task, batch.labels).where(labelled(task, batch), IGNORED)
        return token_rows(run.student_run.item_predictions, run.student_run.of_items(labels))


def _written(setup: TrainingSetup) -> str | None:
    if not setup.written:
        return None
    return (
        "the objective `task` learns to predict the labels, and these would be what the student itself has written; "
        "leave `task` out, or train on the data's own sequences or on the teacher's"
    )
