"""Interchange accuracy during training: the declared pairs alone, on a few held-out pairs of base and source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from causalkd.alignment.resolve import ResolvedAlignment
from causalkd.data.batch import Batch
from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.counterfactuals import ModelPass
from causalkd.verification.interventions.plan import Intervention, declared_interventions
from causalkd.verification.interventions.predictions import TOLERANCE, same

LIVE = "iia_effective/"
"""The prefix of the measured terms; the name of the site pair follows."""


@dataclass(frozen=True, eq=False)
class _Answers:
    """The teacher's predictions on one batch: by site pair, its counterfactual choices, and where they changed."""

    batch: Batch
    choice: dict[str, Tensor]
    effective: dict[str, Float[Tensor, "item"]]


class LiveAccuracy:
    """Measures a student's effective IIA at intervals; the teacher runs once, when this is created.

    A measurement costs a base and a source run and a counterfactual for each site pair, of the student. It draws
    no random numbers, so it does not change the training.

    Args:
        teacher: The model whose counterfactual predictions are the reference.
        student: The model that trains.
        alignment: The alignment, resolved against both; all its pairs are measured.
        batches: Held-out pairs.
        every: Number of steps between two measurements.
        tolerance: For regression: the largest difference of two numbers that count as the same prediction.
    """

    def __init__(
        self,
        teacher: HookedModel,
        student: HookedModel,
        alignment: ResolvedAlignment,
        batches: Sequence[Batch],
        every: int,
        tolerance: float = TOLERANCE,
    ) -> None:
        self._student, self._every, self._last, self._tolerance = student, every, 0, tolerance
        declared = declared_interventions(alignment)
        self._interventions = {name: of_student for name, (_, of_student) in declared.items()}
        interventions = {name: of_teacher for name, (of_teacher, _) in declared.items()}
        with torch.no_grad(), evaluating([teacher]):
            moved = (batch.to(teacher.model.device) for batch in batches)
            self._answers = [_answers(teacher, interventions, batch, tolerance) for batch in moved]

    def __call__(self, step: int) -> dict[str, float]:
        """Each site pair's effective IIA, if it is defined; empty before enough steps have passed."""
        if step - self._last < self._every:
            return {}
        self._last = step
        right: dict[str, float] = dict.fromkeys(self._interventions, 0.0)
        with torch.no_grad(), evaluating([self._student]):
            for answers in self._answers:
                batch = answers.batch.read_by("student").to(self._student.model.device)
                passes = ModelPass.of(self._student, self._interventions.values(), batch)
                for name, intervention in self._interventions.items():
                    found = passes.counterfactual(intervention).predictions.choice
                    right[name] += _right(found, answers, name, self._tolerance)
        counts = {name: sum(float(each.effective[name].sum()) for each in self._answers) for name in right}
        return {f"{LIVE}{name}": right[name] / count for name, count in counts.items() if count}


def _right(found: Tensor, answers: _Answers, name: str, tolerance: float) -> float:
    reference = answers.choice[name]
    return float((same(reference, found.to(reference.device), tolerance) * answers.effective[name]).sum())


def _answers(
    teacher: HookedModel, interventions: Mapping[str, Intervention], batch: Batch, tolerance: float
) -> _Answers:
    passes = ModelPass.of(teacher, interventions.values(), batch.read_by("teacher"))
    plain = passes.plain.choice
    choice = {
        name: passes.counterfactual(intervention).predictions.choice for name, intervention in interventions.items()
    }
    return _Answers(batch, choice, {name: (~same(each, plain, tolerance)).float() for name, each in choice.items()})
