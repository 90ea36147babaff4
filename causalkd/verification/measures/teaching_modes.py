"""Teaching modes: the teacher's log-odds and ATKD's teaching mode of each labelled token, and the IIA in each mode.

The modes are ATKD's (Zhong et al. 2024, arXiv 2402.11890): an easy token has the diversity-oriented term only, a hard
one both terms.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
from jaxtyping import Int
from torch import Tensor

from causalkd.alignment.resolve import ResolvedAlignment
from causalkd.data.batch import Batch
from causalkd.data.token_mask import TOKEN_TASKS, counted_tokens, flat_positions, targets
from causalkd.losses.decoupled import decoupled, hard_tokens
from causalkd.losses.gold_odds import log_odds
from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.processes.processes import ALONE, Processes
from causalkd.verification.interventions.counterfactuals import Intervened, ModelPass
from causalkd.verification.interventions.passes import ObservedModel, Observer, run_passes
from causalkd.verification.interventions.plan import Intervention, declared_interventions, plan
from causalkd.verification.interventions.predictions import same
from causalkd.verification.measures.counters import MeasurementPlan, TeacherCounterfactuals
from causalkd.verification.measures.iia import Subject
from causalkd.verification.results.teaching import Mode, ModeAccuracy, TeachingModes


def teaching_modes(
    teacher: HookedModel, student: HookedModel, batches: Sequence[Batch], hard_fraction: float = 0.5
) -> TeachingModes:
    """The teaching mode of every labelled token and one student's distance in it; see `modes_of_all`."""
    (found,) = modes_of_all(teacher, [student], batches, hard_fraction)
    return found


def modes_of_all(
    teacher: HookedModel,
    students: Sequence[HookedModel],
    batches: Sequence[Batch],
    hard_fraction: float = 0.5,
    processes: Processes = ALONE,
) -> list[TeachingModes]:
    """The teaching mode of every labelled token and each student's distance in it. Costs one forward of each model.

    Args:
        teacher: The model whose uncertainty decides the mode.
        students: The models that are compared with it.
        batches: Labelled texts.
        hard_fraction: The share of hard tokens, over all batches together.
        processes: The processes that share the batches; each then has the results of all.

    Raises:
        ValueError: The heads predict no tokens, or the batches have no labels.
    """
    _check(teacher, batches)
    tokens: list[tuple[Tensor, ...]] = []
    terms: list[list[tuple[Tensor, Tensor]]] = []
    starts = [0, *accumulate(len(batch.counted) for batch in batches)]
    with torch.no_grad(), evaluating([teacher, *students]):
        for number in processes.share(len(batches)):
            batch = batches[number].to(teacher.model.device)
            of_batch, of_students = _of_batch(teacher, students, batch, starts[number])
            tokens.append(tuple(each.cpu() for each in of_batch))
            terms.append([(target.cpu(), diversity.cpu()) for target, diversity in of_students])
    tokens, terms = processes.together((tokens, terms))
    text, position, odds = (torch.cat(each) for each in zip(*tokens, strict=True))
    of_tokens = [each.numpy() for each in (text, position, odds.sigmoid(), hard_tokens(odds, fraction=hard_fraction))]
    return [
        TeachingModes(*of_tokens, *(torch.cat(each).numpy() for each in zip(*own, strict=True)))
        for own in zip(*terms, strict=True)
    ]


def accuracy_by_mode(
    teacher: HookedModel,
    student: HookedModel,
    alignment: ResolvedAlignment,
    batches: Sequence[Batch],
    hard_fraction: float = 0.5,
) -> tuple[ModeAccuracy, ...]:
    """One student's interchange accuracy over easy and hard tokens; see `accuracies_by_mode`."""
    (found,) = accuracies_by_mode(teacher, [(student, alignment)], batches, hard_fraction)
    return found


def accuracies_by_mode(
    teacher: HookedModel,
    students: Sequence[Subject],
    batches: Sequence[Batch],
    hard_fraction: float = 0.5,
    processes: Processes = ALONE,
) -> list[tuple[ModeAccuracy, ...]]:
    """Each student's interchange accuracy at the declared pairs, over the tokens of base that are easy or hard for the
    teacher.

    Costs for each model a forward of base and of source, and for each pair the blocks after it.

    Args:
        teacher: The model whose counterfactual predictions are the reference, and whose uncertainty on base decides the
            mode.
        students: The students, each with the pairs resolved against the teacher and it.
        batches: Labelled held-out pairs, with a source and positions for every declared pair.
        hard_fraction: The share of hard tokens, over all batches together.
        processes: The processes that share the batches; each then has the results of all.

    Raises:
        ValueError: The heads predict no tokens, or the batches have no labels.
    """
    _check(teacher, batches)
    reference = TeacherCounterfactuals(
        MeasurementPlan(plan(teacher, student, alignment, None), ()) for student, alignment in students
    )
    odds, matches = _Odds(), [_Matches(reference, alignment) for _, alignment in students]
    of_students = [ObservedModel(student, each) for (student, _), each in zip(students, matches, strict=True)]
    run_passes([ObservedModel(teacher, reference, odds), *of_students], batches, processes)
    hard = hard_tokens(torch.cat(odds.noted), fraction=hard_fraction)
    modes: dict[Mode, Tensor] = {"easy": ~hard, "hard": hard}
    return [
        tuple(
            _accuracy(name, mode, *torch.cat(parts, 1)[:, chosen])
            for name, parts in each.noted.items()
            for mode, chosen in modes.items()
        )
        for each in matches
    ]


class _Odds(Observer):
    """The observer of the teacher's log-odds against each labelled token of base."""

    def __init__(self) -> None:
        self.interventions: tuple[Intervention, ...] = ()
        self.noted: list[Tensor] = []

    def start(self, passes: ModelPass) -> None:
        base = passes.base
        self.noted.append(-log_odds(base.item_logits, _labels(passes.model, passes.batch, base.logits_at)).cpu())


class _Matches(Observer):
    """The observer of a student, after the teacher's: which predictions match and are effective, by declared pair."""

    def __init__(self, reference: TeacherCounterfactuals, alignment: ResolvedAlignment) -> None:
        self._reference, self._declared = reference, declared_interventions(alignment)
        self.interventions = {own for _, own in self._declared.values()}
        self.noted: dict[str, list[Tensor]] = {pair: [] for pair in self._declared}

    def update(self, intervene: Intervened) -> None:
        for pair, (of_teacher, of_student) in self._declared.items():
            if of_student == intervene.intervention:
                found = intervene.counterfactual.predictions.choice
                match = same(self._reference.now[of_teacher].choice, found)
                self.noted[pair].append(torch.stack([match, self._reference.effective[of_teacher].bool()]).cpu())


def _check(model: HookedModel, batches: Sequence[Batch]) -> None:
    if model.task not in TOKEN_TASKS:
        raise ValueError(f"teaching modes are for tokens, and the head is for {model.task}; give language models")
    if not batches or any(batch.labels is None for batch in batches):
        raise ValueError(
            f"teaching modes need gold tokens; of {len(batches)} batches some have no labels, or there is no batch"
        )


def _of_batch(
    teacher: HookedModel, students: Sequence[HookedModel], batch: Batch, earlier: int
) -> tuple[tuple[Tensor, ...], list[tuple[Tensor, Tensor]]]:
    """The text, position and log-odds of each labelled token, and each student's terms there; texts are numbered from
    `earlier` on.
    """
    counted = counted_tokens(teacher.task, batch, "labelled")
    assert counted is not None
    at = flat_positions(counted)
    gold, given = _labels(teacher, batch, at), teacher.run(batch.inputs, logits_at=at).item_logits
    row, position = counted.nonzero(as_tuple=True)
    position = position - batch.counted.long().argmax(1)[row] + (teacher.task == "causal_lm")
    terms = []
    for student in students:
        own = student.run(batch.inputs, logits_at=at).item_logits
        terms.append((decoupled(own, given, gold, 1.0, 0.0), decoupled(own, given, gold, 0.0, 1.0)))
    return (row + earlier, position, -log_odds(given, gold)), terms


def _labels(model: HookedModel, batch: Batch, at: Int[Tensor, "item"] | None) -> Int[Tensor, "item"]:
    assert batch.labels is not None and at is not None
    return targets(model.task, batch.labels).flatten()[at]


def _accuracy(pair: str, mode: Mode, match: Tensor, effective: Tensor) -> ModeAccuracy:
    iia, of_effective = (each.double().mean().item() if len(each) else None for each in (match, match[effective]))
    return ModeAccuracy(pair, mode, iia, of_effective, int(effective.sum()), len(match))
