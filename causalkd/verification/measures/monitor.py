"""Interchange accuracy while a student trains: the declared pairs alone, on few held-out pairs of base and source."""

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
from causalkd.verification.interventions.predictions import same

LIVE = "iia_effective/"
"""Begins the names of what is measured; the name of the site pair follows."""


@dataclass(frozen=True, eq=False)
class _Answers:
    """What the teacher says of one batch: by site pair, its counterfactual choices, and where they are new."""

    batch: Batch
    choice: dict[str, Tensor]
    effective: dict[str, Float[Tensor, "item"]]


class LiveAccuracy:
    """Measures a student's effective IIA again and again; the teacher is asked once, when this is made.

    A measurement costs a base and a source run and a counterfactual for each site pair, of the student. It draws
    nothing at random, so a training that is watched goes as it would unwatched.

    Args:
        teacher: Whose counterfactual predictions are the truth here.
        student: The model that trains.
        alignment: Resolved against both; its pairs are exchanged.
        batches: Held-out pairs.
        every: Steps from one measurement to the next.
    """

    def __init__(
        self,
        teacher: HookedModel,
        student: HookedModel,
        alignment: ResolvedAlignment,
        batches: Sequence[Batch],
        every: int,
    ) -> None:
        self._student, self._every, self._last = student, every, 0
        declared = declared_interventions(alignment)
        self._sides = {name: own for name, (_, own) in declared.items()}
        interventions = {name: taught for name, (taught, _) in declared.items()}
        with torch.no_grad(), evaluating([teacher]):
            self._answers = [_answers(teacher, interventions, batch.to(teacher.model.device)) for batch in batches]

    def __call__(self, step: int) -> dict[str, float]:
        """Each site pair's effective IIA, where there is one; nothing before enough steps have passed."""
        if step - self._last < self._every:
            return {}
        self._last = step
        right: dict[str, float] = dict.fromkeys(self._sides, 0.0)
        with torch.no_grad(), evaluating([self._student]):
            for answers in self._answers:
                batch = answers.batch.to(self._student.model.device)
                passes = ModelPass.of(self._student, self._sides.values(), batch)
                for name, intervention in self._sides.items():
                    right[name] += _right(passes.counterfactual(intervention).predictions.choice, answers, name)
        counts = {name: sum(float(each.effective[name].sum()) for each in self._answers) for name in right}
        return {f"{LIVE}{name}": right[name] / count for name, count in counts.items() if count}


def _right(found: Tensor, answers: _Answers, name: str) -> float:
    truth = answers.choice[name]
    return float((same(truth, found.to(truth.device)) * answers.effective[name]).sum())


def _answers(teacher: HookedModel, interventions: Mapping[str, Intervention], batch: Batch) -> _Answers:
    passes = ModelPass.of(teacher, interventions.values(), batch)
    plain = passes.plain.choice
    choice = {
        name: passes.counterfactual(intervention).predictions.choice for name, intervention in interventions.items()
    }
    return _Answers(batch, choice, {name: (~same(each, plain)).float() for name, each in choice.items()})
