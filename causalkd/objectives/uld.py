"""ULD: the student's next-token predictions learn from a teacher of any tokenizer.

Boizard et al. 2024, arXiv 2402.12030.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causalkd.data.shared_prefixes import shared_prefixes
from causalkd.losses.chunked import check_temperature
from causalkd.losses.universal_logits import universal_logit_distance
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.vocabularies import shared_entries
from causalkd.objectives.base import Requirements, StepContext, TrainingSetup


class ULD:
    """Mean over positions of Σ |p − q| of the sorted probabilities of both models, on base.

    Models of one tokenizer are compared at every real token. Otherwise the teacher reads the same text in its own
    tokens, and both are compared at the positions where they have read the same characters: this costs a forward of the
    teacher, which no cache keeps, and a decoding of every prefix on the host.

    Args:
        teacher: The frozen model.
        student: The model being trained.
        temperature: T, dividing both models' logits.

    Raises:
        ValueError: The models do not predict next tokens, a tokenizer is missing, or the temperature is not a positive
            number.
    """

    def __init__(self, teacher: HookedModel, student: HookedModel, *, temperature: float = 1.0) -> None:
        check_temperature(temperature)
        if student.task != "causal_lm":
            raise ValueError(
                f"uld compares predictions of next tokens, and {student} is a {student.task} model, whose predictions "
                "are over the same choices as the teacher's; use `response_kd`"
            )
        self._temperature = temperature
        without = teacher.tokenizer is None or student.tokenizer is None
        if without and teacher.vocabulary != student.vocabulary:
            raise ValueError("uld needs the tokenizers of both models; load them with their tokenizers")
        self._is_shared = without or shared_entries(teacher, student) is not None

    def requirements(self) -> Requirements:
        """The logits of all real tokens."""
        return Requirements(logits="all", refusal=self._refusal, same_tokens=False)

    def _refusal(self, setup: TrainingSetup) -> str | None:
        if self._is_shared or setup.micro_batches == 1:
            return None
        return (
            "uld with two tokenizers is a mean over the positions that both have, and how many a micro-batch has is "
            "not known before it is trained on; do without gradient accumulation and with one process"
        )

    def __call__(self, run: StepContext) -> Float[Tensor, ""]:
        """The term of one step."""
        if self._is_shared:
            _, teacher_run = run.teacher_outputs()
            mask = run.student_run.of_items(run.batch.counted)
            return universal_logit_distance(
                run.student_run.item_logits, teacher_run.item_logits, mask, self._temperature
            )
        teacher, student = run.teacher, run.student
        assert teacher is not None and teacher.tokenizer is not None and student.tokenizer is not None
        both = shared_prefixes(run.batch.inputs, student.tokenizer, teacher.tokenizer)
        theirs = teacher.run(both.inputs, logits_at=both.other).item_logits
        return universal_logit_distance(_logits_at(run.student_run, both.own), theirs, None, self._temperature)


def _logits_at(run: ForwardOutput, positions: Int[Tensor, " item"]) -> Float[Tensor, "item entry"]:
    """The logits at some positions that a run predicted at."""
    items = positions if run.logits_at is None else torch.searchsorted(run.logits_at, positions)
    return run.item_logits[items]
