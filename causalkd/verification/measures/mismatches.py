"""Mismatches: pairs on which the teacher's prediction changes with the source and the student's does not."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Bool
from torch import Tensor

from causalkd.alignment.resolve import ResolvedAlignment
from causalkd.data.batch import Batch
from causalkd.data.positions import Positions
from causalkd.models.head_labels import label_names
from causalkd.models.hooks.forward import Inputs
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.counterfactuals import Intervened
from causalkd.verification.interventions.pair_rows import separate_source
from causalkd.verification.interventions.passes import Metric, ObservedModel, run_passes
from causalkd.verification.interventions.plan import Intervention, declared_interventions, plan
from causalkd.verification.interventions.predictions import Predictions, divergence, is_defined, same
from causalkd.verification.measures.counters import MeasurementPlan, TeacherCounterfactuals
from causalkd.verification.results.rows import Departure


def departures(
    teacher: HookedModel,
    student: HookedModel,
    alignment: ResolvedAlignment,
    batches: Sequence[Batch],
    *,
    name: str,
    seed: int,
    most: int = 5,
) -> tuple[Departure, ...]:
    """The mismatches of largest divergence for each declared pair, the largest first.

    Costs a base run, a source run and a counterfactual of both models for every declared pair.

    Args:
        teacher: A classifier with a tokenizer.
        student: Another classifier.
        alignment: The alignment, resolved against both.
        batches: Held-out pairs with separate sources.
        name: Name of the student, in the rows.
        seed: Seed of the student, in the rows.
        most: Largest number for each declared pair.

    Raises:
        ValueError: The teacher is no classifier or has no tokenizer, or there are no batches with separate sources.
    """
    if teacher.task != "classification" or teacher.tokenizer is None:
        lack = f"does {teacher.task}" if teacher.tokenizer is not None else "has no tokenizer, which shows the pairs"
        raise ValueError(f"mismatches are those of a classifier with a tokenizer; this teacher {lack}")
    truth = TeacherCounterfactuals([MeasurementPlan(plan(teacher, student, alignment, None), ())])
    found = Departures(teacher, truth, alignment, name=name, seed=seed, most=most)
    run_passes([ObservedModel(teacher, truth), ObservedModel(student, found)], batches)
    return found.rows()


class Departures(Metric):
    """Observes a student, after the teacher, and keeps the largest mismatches of each declared pair."""

    def __init__(
        self,
        teacher: HookedModel,
        truth: TeacherCounterfactuals,
        alignment: ResolvedAlignment,
        *,
        name: str,
        seed: int,
        most: int = 5,
    ) -> None:
        self._teacher, self._truth, self._name, self._seed, self._most = teacher, truth, name, seed, most
        self._declared = declared_interventions(alignment)
        self.noted: dict[str, list[Departure]] = {pair: [] for pair in self._declared}
        self.interventions = {own for _, own in self._declared.values()}

    def update(self, intervene: Intervened) -> None:
        """Looks for mismatches at a declared pair."""
        for pair, (taught, own) in self._declared.items():
            if own == intervene.intervention:
                self.noted[pair] = self._largest([*self.noted[pair], *self._departures(pair, taught, intervene)])

    def rows(self) -> tuple[Departure, ...]:
        """The largest mismatches of each declared pair, the largest first."""
        return tuple(departure for found in self.noted.values() for departure in self._largest(found))

    def _largest(self, found: list[Departure]) -> list[Departure]:
        return sorted(found, key=lambda each: -each.kl)[: self._most]

    def _departures(self, pair: str, taught: Intervention, intervene: Intervened) -> list[Departure]:
        assert self._truth.plain is not None and self._truth.batch is not None
        plain, intervened = self._truth.plain.choice, self._truth.now[taught]
        answers = _Answers(plain, intervened, intervene.plain.choice, intervene.answer.predictions)
        gap, key = divergence(intervened, answers.after), (self._name, self._seed, pair)
        rows = sorted(answers.stays().nonzero()[:, 0].tolist(), key=lambda row: -float(gap[row]))
        batch = self._truth.batch  # in the tokens of the teacher, which shows them
        separate_source(batch, "a list of mismatches")
        return [_departure(self._teacher, batch, row, answers, key, float(gap[row])) for row in rows[: self._most]]


class _Answers(NamedTuple):
    """The choices of both models on one batch."""

    taught: Tensor
    """The teacher's predictions on base."""
    intervened: Predictions
    """The teacher's counterfactual predictions."""
    own: Tensor
    """The student's predictions on base."""
    after: Predictions
    """The student's counterfactual predictions."""

    def stays(self) -> Bool[Tensor, "batch"]:
        """Where the intervention changes the teacher's prediction but not the student's, and the two then differ."""
        intervened, after = self.intervened.choice, self.after.choice
        known = is_defined(self.taught) & is_defined(intervened)
        return known & (self.taught != intervened) & same(self.own, after) & (after != intervened)


def _departure(
    model: HookedModel, batch: Batch, row: int, answers: _Answers, key: tuple[str, int, str], kl: float
) -> Departure:
    names, (taught, intervened, own, after) = label_names(model), answers
    assert batch.source is not None and model.tokenizer is not None
    answer = int(intervened.choice[row])
    return Departure(
        *key,
        base=_text(model, batch.inputs, row),
        source=_text(model, batch.source, row),
        intervened=_intervened_tokens(model, batch, batch.positions[key[2]], row),
        teacher=names[int(taught[row])],
        teacher_counterfactual=names[answer],
        student=names[int(own[row])],
        student_counterfactual=names[int(after.choice[row])],
        teacher_probability=float(intervened.log_probabilities[row, answer].exp()),
        student_probability=float(after.log_probabilities[row, answer].exp()),
        kl=kl,
    )


def _text(model: HookedModel, inputs: Inputs, row: int) -> str:
    assert model.tokenizer is not None
    real = inputs["input_ids"][row][inputs["attention_mask"][row].bool()]
    return str(model.tokenizer.decode(real, skip_special_tokens=True))


def _intervened_tokens(model: HookedModel, batch: Batch, positions: Positions, row: int) -> tuple[tuple[str, str], ...]:
    """The tokens at the intervened positions, of base and of source."""
    assert batch.source is not None and model.tokenizer is not None
    valid = positions.valid[row]
    read = ((batch.inputs, positions.base), (batch.source, positions.source))
    words = [model.tokenizer.convert_ids_to_tokens(i["input_ids"][row][at[row][valid]].tolist()) for i, at in read]
    return tuple(zip(*words, strict=True))
