"""Mismatches: pairs on which the intervention changes the teacher's prediction but not the student's."""

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
from causalkd.verification.interventions.passes import ObservedModel, Observer, run_passes
from causalkd.verification.interventions.plan import Intervention, declared_interventions, plan
from causalkd.verification.interventions.predictions import Predictions, divergence, is_defined, same
from causalkd.verification.measures.counters import MeasurementPlan, TeacherCounterfactuals
from causalkd.verification.results.rows import Mismatch


def mismatches(
    teacher: HookedModel,
    student: HookedModel,
    alignment: ResolvedAlignment,
    batches: Sequence[Batch],
    *,
    name: str,
    seed: int,
    most: int = 5,
) -> tuple[Mismatch, ...]:
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
        ValueError: The teacher is not a classifier or has no tokenizer, or there are no batches with separate sources.
    """
    if teacher.task != "classification" or teacher.tokenizer is None:
        lack = f"does {teacher.task}" if teacher.tokenizer is not None else "has no tokenizer, which shows the pairs"
        raise ValueError(f"mismatches are those of a classifier with a tokenizer; this teacher {lack}")
    reference = TeacherCounterfactuals([MeasurementPlan(plan(teacher, student, alignment, None), ())])
    found = MismatchObserver(teacher, reference, alignment, name=name, seed=seed, most=most)
    run_passes([ObservedModel(teacher, reference), ObservedModel(student, found)], batches)
    return found.rows()


class MismatchObserver(Observer):
    """The observer of a student, after the teacher's, that keeps the largest mismatches of each declared pair."""

    def __init__(
        self,
        teacher: HookedModel,
        reference: TeacherCounterfactuals,
        alignment: ResolvedAlignment,
        *,
        name: str,
        seed: int,
        most: int = 5,
    ) -> None:
        self._teacher, self._reference, self._name, self._seed, self._most = teacher, reference, name, seed, most
        self._declared = declared_interventions(alignment)
        self.noted: dict[str, list[Mismatch]] = {pair: [] for pair in self._declared}
        self.interventions = {own for _, own in self._declared.values()}

    def update(self, intervene: Intervened) -> None:
        """Looks for mismatches at a declared pair."""
        for pair, (of_teacher, of_student) in self._declared.items():
            if of_student == intervene.intervention:
                self.noted[pair] = self._largest([*self.noted[pair], *self._mismatches(pair, of_teacher, intervene)])

    def rows(self) -> tuple[Mismatch, ...]:
        """The largest mismatches of each declared pair, the largest first."""
        return tuple(mismatch for found in self.noted.values() for mismatch in self._largest(found))

    def _largest(self, found: list[Mismatch]) -> list[Mismatch]:
        return sorted(found, key=lambda each: -each.kl)[: self._most]

    def _mismatches(self, pair: str, of_teacher: Intervention, intervene: Intervened) -> list[Mismatch]:
        assert self._reference.plain is not None and self._reference.batch is not None
        plain, intervened = self._reference.plain.choice, self._reference.now[of_teacher]
        answers = _Answers(plain, intervened, intervene.plain.choice, intervene.counterfactual.predictions)
        gap, key = divergence(intervened, answers.after), (self._name, self._seed, pair)
        rows = sorted(answers.stays().nonzero()[:, 0].tolist(), key=lambda row: -float(gap[row]))
        batch = self._reference.batch  # in the tokens of the teacher, whose tokenizer shows them
        separate_source(batch, "a list of mismatches")
        return [_mismatch(self._teacher, batch, row, answers, key, float(gap[row])) for row in rows[: self._most]]


class _Answers(NamedTuple):
    """The choices of both models on one batch."""

    teacher: Tensor
    """The teacher's predictions on base."""
    intervened: Predictions
    """The teacher's counterfactual predictions."""
    student: Tensor
    """The student's predictions on base."""
    after: Predictions
    """The student's counterfactual predictions."""

    def stays(self) -> Bool[Tensor, "batch"]:
        """Where the intervention changes the teacher's prediction but not the student's, and the two then differ."""
        intervened, after = self.intervened.choice, self.after.choice
        known = is_defined(self.teacher) & is_defined(intervened)
        return known & (self.teacher != intervened) & same(self.student, after) & (after != intervened)


def _mismatch(
    model: HookedModel, batch: Batch, row: int, answers: _Answers, key: tuple[str, int, str], kl: float
) -> Mismatch:
    names, (teacher, intervened, student, after) = label_names(model), answers
    assert batch.source is not None and model.tokenizer is not None
    answer = int(intervened.choice[row])
    return Mismatch(
        *key,
        base=_text(model, batch.inputs, row),
        source=_text(model, batch.source, row),
        intervened=_intervened_tokens(model, batch, batch.positions[key[2]], row),
        teacher=names[int(teacher[row])],
        teacher_counterfactual=names[answer],
        student=names[int(student[row])],
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
