"""Response KD: the student's predictions follow the teacher's; and the task loss that goes with it."""

from jaxtyping import Float
from torch import Tensor

from causalkd.data.counted import TOKEN_TASKS, Tokens, targets
from causalkd.losses.task import task_loss
from causalkd.objectives.base_run import BaseRun, Kept
from causalkd.objectives.predictions import prediction_distance


class ResponseKD:
    """T² · KL(teacher || student) on base (Hinton et al. 2015; DIITO's L_CE). Costs no further forward.

    Args:
        temperature: T, dividing both models' logits.
        tokens: For per-token heads, `all` real tokens or only the `labelled` ones (DIITO's restrict_ce_to_mask).
    """

    def __init__(self, temperature: float = 2.0, tokens: Tokens = "all") -> None:
        self.temperature = temperature
        self.tokens: Tokens = tokens

    def places(self) -> Kept:
        """The logits it compares."""
        return Kept(logits=self.tokens)

    def __call__(self, run: BaseRun) -> Float[Tensor, ""]:
        """The term of one step."""
        _, teacher_run = run.taught()
        return prediction_distance(
            run.student.task, run.student_run, teacher_run, run.batch, self.temperature, self.tokens
        )


class TaskLoss:
    """The loss of the task itself against the labels; needs no teacher and no further forward."""

    def places(self) -> Kept:
        """The logits that have a label."""
        return Kept(logits="labelled")

    def __call__(self, run: BaseRun) -> Float[Tensor, ""]:
        """The term of one step.

        Raises:
            ValueError: The batch has no labels.
        """
        if run.batch.labels is None:
            raise ValueError(
                "the objective `task` needs labels and the data have none; leave it out, or label the data"
            )
        task, student_run, labels = run.student.task, run.student_run, run.batch.labels
        if task in TOKEN_TASKS:
            return task_loss(task, student_run.item_logits, student_run.of_items(targets(task, labels)))
        return task_loss(task, student_run.logits, labels)
