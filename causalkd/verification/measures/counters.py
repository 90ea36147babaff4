"""Observers that count while batches pass: the teacher's counterfactuals, and the student's matches with them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from math import isfinite

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causalkd.alignment.spec import GRID
from causalkd.data.batch import Batch
from causalkd.verification.interventions.baselines import as_many, modal_matches
from causalkd.verification.interventions.counterfactuals import Intervened, ModelPass, Reach
from causalkd.verification.interventions.pair_rows import PairRows, pair_rows, shared_rows
from causalkd.verification.interventions.passes import Observer
from causalkd.verification.interventions.plan import Comparison, Intervention
from causalkd.verification.interventions.predictions import TOLERANCE, Predictions, divergence, same
from causalkd.verification.measures.pair_numbers import Packed, PairNumbers, joined, pack
from causalkd.verification.measures.scores import COLUMNS, Column, Measurement, Score
from causalkd.verification.results.baselines import BASELINES, MEASURED, BaselineName
from causalkd.verification.statistics.intervals import Shared


@dataclass(frozen=True)
class MeasurementPlan:
    """The plan of one student's measurement: some comparisons, each with some baselines."""

    comparisons: tuple[Comparison, ...]
    baselines: Collection[str]

    @property
    def scored(self) -> tuple[BaselineName, ...]:
        """The measurement itself and the baselines, in the order of a report."""
        return (MEASURED, *(name for name in BASELINES if name in self.baselines))

    @property
    def with_ceiling(self) -> tuple[Comparison, ...]:
        """The comparisons that have a ceiling, if it is one of the baselines: the declared pairs."""
        return tuple(
            comparison
            for comparison in self.comparisons
            if "ceiling" in self.baselines and not comparison.pair.startswith(GRID)
        )


@dataclass
class TeacherNotes:
    """The notes on the teacher for the batches so far; a list has an entry for each batch, see `pack`."""

    rows: list[PairRows] = field(default_factory=list)
    """The base and the source of each pair."""
    pairs: list[Packed] = field(default_factory=list)
    """The number of predictions of each pair, then of those that each intervention changed."""
    choices: list[Packed] = field(default_factory=list)
    """The choices without an intervention, then after each; empty unless `majority_class` is a baseline."""
    dtypes: set[np.dtype] = field(default_factory=set)
    """The type of the choices, of which there is only one."""
    reach: Reach = field(default_factory=Reach)


@dataclass(frozen=True, eq=False)
class TeacherTallies:
    """The teacher's numbers that all students are compared with, pair by pair."""

    counts: PairNumbers
    """The number of predictions."""
    effective_counts: dict[Intervention, PairNumbers]
    """The number of predictions that each intervention changed."""
    shared: Shared
    """The bases and the sources that pairs share."""
    modal: dict[Intervention, tuple[PairNumbers, PairNumbers]]
    """Matches and effective matches of the best constant guesses; empty unless `majority_class` is a baseline."""


class TeacherCounterfactuals(Observer):
    """The observer of the teacher. Holds all its counterfactuals of the present batch, and some numbers of earlier
    ones.

    For each pair of an earlier batch it keeps 8 bytes for its rows, a bit, and a bit for each intervention; with the
    baseline `majority_class` also the bits of a class or token, for each prediction without an intervention and after
    each. (A count of a pair with several predictions takes the bits that it needs.)
    """

    def __init__(self, plans: Iterable[MeasurementPlan], tolerance: float = TOLERANCE) -> None:
        plans, self.tolerance = tuple(plans), tolerance
        self.interventions = dict.fromkeys(comparison.teacher for each in plans for comparison in each.comparisons)
        self.repeated = {comparison.teacher for each in plans for comparison in each.with_ceiling}
        self.guessed = any("majority_class" in each.baselines for each in plans)
        self.noted = TeacherNotes()
        self.plain: Predictions | None = None
        self.now: dict[Intervention, Predictions] = {}
        self.effective: dict[Intervention, Tensor] = {}
        self.ceiling: dict[Intervention, Predictions] = {}
        self.rows = 0
        self.batch: Batch | None = None

    def start(self, passes: ModelPass) -> None:
        """Drops the previous batch."""
        self.batch = passes.batch
        self.now, self.effective, self.ceiling = {}, {}, {}
        self.plain, self.rows = passes.plain, len(passes.batch.counted)

    def update(self, intervene: Intervened) -> None:
        """Adds the counterfactual of one intervention."""
        intervention, plain, found = intervene.intervention, intervene.plain, intervene.counterfactual.predictions
        self.noted.reach.update(intervention, intervene.counterfactual)
        self.now[intervention] = found
        if intervention in self.repeated:
            self.ceiling[intervention] = intervene.repeated
        self.effective[intervention] = (~same(found.choice, plain.choice, self.tolerance)).float()

    def finish(self) -> None:
        """Keeps the numbers of the batch that are needed later."""
        assert self.plain is not None and self.batch is not None
        self.noted.rows.append(pair_rows(self.batch))
        effective = [self.effective[each] for each in self.interventions]
        every = torch.ones(len(self.plain.row), device=self.plain.row.device)
        self.noted.pairs.append(pack(np.stack([_by_row(part, self.plain, self.rows) for part in (every, *effective)])))
        if self.guessed:
            made = (self.plain, *(self.now[each] for each in self.interventions))
            choices = np.stack([each.choice.cpu().numpy() for each in made])
            self.noted.choices.append(pack(choices.view(_bits(choices.dtype))))
            self.noted.dtypes.add(choices.dtype)

    def tallies(self, plan: MeasurementPlan) -> TeacherTallies:
        """The numbers for the teacher interventions of one student's comparisons."""
        pairs, numbers = joined(self.noted.pairs), {each: number for number, each in enumerate(self.interventions, 1)}
        needed = {comparison.teacher: numbers[comparison.teacher] for comparison in plan.comparisons}
        counts, modal = PairNumbers(pairs, 0), {}
        if "majority_class" in plan.baselines:
            choices, (dtype,) = joined(self.noted.choices), self.noted.dtypes
            row = torch.arange(pairs.shape[2]).repeat_interleave(torch.from_numpy(counts.values))
            plain = _choice(PairNumbers(choices, 0), dtype)
            for intervention, number in needed.items():
                made = _choice(PairNumbers(choices, number), dtype)
                modal[intervention] = _modal(plain, made, row, pairs.shape[2], self.tolerance)
        effective = {each: PairNumbers(pairs, number) for each, number in needed.items()}
        return TeacherTallies(counts, effective, shared_rows(self.noted.rows), modal)


_Column = tuple[Comparison, BaselineName, Column]


@dataclass
class MatchNotes:
    """The notes on a student for the batches so far."""

    kept: list[Packed] = field(default_factory=list)
    """An entry for each batch; see `pack`."""
    numbers: dict[_Column, int] = field(default_factory=dict)
    """The number of the list in an entry that holds each column."""
    nats: dict[tuple[Comparison, BaselineName], Fraction | float] = field(default_factory=dict)
    """The sum of all divergences: exact, so the same however the batches are shared; a float only if it is not
    finite."""
    reach: Reach = field(default_factory=Reach)


class MatchCounter(Observer):
    """The observer of a student, after the teacher's: matches for each comparison and baseline, and unchanged
    predictions.

    Of an earlier batch it keeps two bits for each pair, comparison and baseline, and one for each pair and comparison.
    (A count of a pair with several predictions takes the bits that it needs.)
    """

    def __init__(self, teacher: TeacherCounterfactuals, plan: MeasurementPlan, seed: int) -> None:
        """`seed` is used for `norm_matched_random` and for the untrained student."""
        self.teacher, self.plan, self.seed = teacher, plan, seed
        self.own = dict.fromkeys(comparison.student for comparison in plan.comparisons)
        other = [comparison.wrong_layer for comparison in plan.comparisons] if "wrong_layer" in plan.baselines else []
        other += (
            [comparison.shuffled for comparison in plan.comparisons] if "shuffled_alignment" in plan.baselines else []
        )
        self.interventions = dict.fromkeys(
            [*self.own, *(intervention for intervention in other if intervention is not None)]
        )
        self.noted = MatchNotes()
        self.now: dict[_Column, np.ndarray] = {}

    def start(self, passes: ModelPass) -> None:
        """Counts the baselines that need no prediction of the student."""
        self.now = {}
        for comparison in self.plan.with_ceiling:
            self._note(comparison, "ceiling", self.teacher.ceiling[comparison.teacher])

    def update(self, intervene: Intervened) -> None:
        """Counts the counterfactual of one intervention in the student, and the baselines of that intervention."""
        intervention, plain, found = intervene.intervention, intervene.plain, intervene.counterfactual.predictions
        self.noted.reach.update(intervention, intervene.counterfactual)
        for baseline in (MEASURED, "wrong_layer", "shuffled_alignment"):
            self._tally(baseline, intervention, found)
        self._note_still(intervention, same(found.choice, plain.choice, self.teacher.tolerance))
        if intervention not in self.own:
            return
        for name in self.plan.scored:
            predict = None if name == MEASURED else BASELINES[name].predict
            if predict is not None:
                self._tally(name, intervention, as_many(name, predict(intervene, self.seed), found))

    def note_untrained(self, intervene: Intervened) -> None:
        """Counts the counterfactual of one intervention in the untrained student."""
        self._tally("untrained_student", intervene.intervention, intervene.counterfactual.predictions)

    def finish(self) -> None:
        """Keeps the counts of the batch."""
        self.noted.numbers = {column: number for number, column in enumerate(self.now)}
        self.noted.kept.append(pack(np.stack([*self.now.values()])))

    def _tally(self, baseline: BaselineName, intervention: Intervention, found: Predictions) -> None:
        """Counts the student's predictions after an intervention, for every comparison that uses it."""
        if baseline not in self.plan.scored:
            return
        for comparison in self.plan.comparisons:
            wanted = {"wrong_layer": comparison.wrong_layer, "shuffled_alignment": comparison.shuffled}.get(
                baseline, comparison.student
            )
            if wanted == intervention:
                self._note(comparison, baseline, found)

    def _note(self, comparison: Comparison, baseline: BaselineName, found: Predictions) -> None:
        given, effective = self.teacher.now[comparison.teacher], self.teacher.effective[comparison.teacher]
        match, rows = same(given.choice, found.choice, self.teacher.tolerance).float(), self.teacher.rows
        self.now[comparison, baseline, "matches"] = _by_row(match, given, rows)
        self.now[comparison, baseline, "effective_matches"] = _by_row(match * effective, given, rows)
        nats = float(divergence(given, found).double().sum())
        earlier = self.noted.nats.get((comparison, baseline), Fraction(0))
        self.noted.nats[comparison, baseline] = earlier + (Fraction(nats) if isfinite(nats) else nats)

    def _note_still(self, intervention: Intervention, stays: Bool[Tensor, "item"]) -> None:
        """Counts predictions that change in neither model, for every comparison with this student intervention."""
        for comparison in self.plan.comparisons:
            if comparison.student == intervention:
                still = stays.float() * (1 - self.teacher.effective[comparison.teacher])
                given = self.teacher.now[comparison.teacher]
                self.now[comparison, MEASURED, "still"] = _by_row(still, given, self.teacher.rows)

    def measurement(self) -> Measurement:
        """The scores of every comparison under every baseline."""
        noted, of_teacher, scores = self.noted, self.teacher.tallies(self.plan), []
        kept = joined(noted.kept)
        for comparison in self.plan.comparisons:
            reachable = comparison.teacher in self.teacher.noted.reach and comparison.student in noted.reach
            for baseline in self.plan.scored:
                columns: dict[Column, PairNumbers] = {}
                if baseline == "majority_class":
                    columns["matches"], columns["effective_matches"] = of_teacher.modal[comparison.teacher]
                for column in COLUMNS:
                    if (comparison, baseline, column) in noted.numbers:
                        columns[column] = PairNumbers(kept, noted.numbers[comparison, baseline, column])
                if columns:  # There may be no other layer or pair.
                    columns["counts"] = of_teacher.counts
                    columns["effective_counts"] = of_teacher.effective_counts[comparison.teacher]
                    nats = noted.nats.get((comparison, baseline))
                    scores.append(Score(comparison, baseline, reachable, columns, nats, of_teacher.shared))
        return Measurement(tuple(scores))


class UntrainedCounter(Observer):
    """The observer of an untrained student, for the counters of all students of its configuration and seed."""

    def __init__(self, counters: Iterable[MatchCounter]) -> None:
        self.counters = tuple(counters)
        self.interventions = dict.fromkeys(intervention for counter in self.counters for intervention in counter.own)
        self.noted = None  # the counters keep the notes

    def update(self, intervene: Intervened) -> None:
        """Gives the counters the untrained student's predictions."""
        for counter in self.counters:
            counter.note_untrained(intervene)


def _by_row(values: Float[Tensor, "item"], items: Predictions, rows: int) -> Float[np.ndarray, "batch"]:
    summed = torch.zeros(rows, dtype=torch.float64, device=values.device).index_add(0, items.row, values.double())
    return summed.cpu().numpy()


def _bits(dtype: np.dtype) -> np.dtype:
    """The type of whole numbers with as many bits as values of this type."""
    return np.dtype(f"u{dtype.itemsize}")


def _choice(bits: PairNumbers, dtype: np.dtype) -> Tensor:
    """The choices whose bits were kept."""
    return torch.from_numpy(bits.values.astype(_bits(dtype)).view(dtype))


def _modal(
    plain: Tensor, choice: Tensor, row: Int[Tensor, "item"], pairs: int, tolerance: float
) -> tuple[PairNumbers, PairNumbers]:
    """The matches and the effective matches of each pair, for the best constant guesses of the teacher's
    predictions.
    """
    tallies = modal_matches(choice, (~same(choice, plain, tolerance)).float(), tolerance)
    whole, effective = (torch.zeros(pairs).index_add(0, row, tally).numpy() for tally in tallies)
    return PairNumbers.of(whole), PairNumbers.of(effective)
