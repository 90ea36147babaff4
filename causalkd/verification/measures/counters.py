"""Counters that run while batches pass: the teacher's counterfactuals, and how often a student's equal them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from causalkd.data.batch import Batch
from causalkd.verification.interventions.baselines import modal_matches
from causalkd.verification.interventions.counterfactuals import Intervened, ModelPass, Reach
from causalkd.verification.interventions.plan import Comparison, Intervention
from causalkd.verification.interventions.predictions import Predictions, divergence, same
from causalkd.verification.measures.scores import Measurement, Score
from causalkd.verification.results.baselines import BASELINES, MEASURED, BaselineName
from causalkd.verification.results.report import GRID


@dataclass(frozen=True)
class MeasurementPlan:
    """What is measured for one student: some comparisons, each with some baselines."""

    comparisons: tuple[Comparison, ...]
    baselines: Collection[str]

    @property
    def scored(self) -> tuple[BaselineName, ...]:
        """The measurement itself and the baselines, in the order of a report."""
        return (MEASURED, *(name for name in BASELINES if name in self.baselines))

    @property
    def with_ceiling(self) -> tuple[Comparison, ...]:
        """The comparisons that have a ceiling, where it is asked for: the declared pairs."""
        return tuple(
            comparison
            for comparison in self.comparisons
            if "ceiling" in self.baselines and not comparison.pair.startswith(GRID)
        )


@dataclass
class TeacherNotes:
    """What is known of the teacher on the batches so far; a list has an entry for each of them."""

    counts: dict[Intervention, list[np.ndarray]]
    effective_counts: dict[Intervention, list[np.ndarray]]
    choices: dict[Intervention, list[Tensor]]
    effective: dict[Intervention, list[Tensor]]
    reach: Reach = field(default_factory=Reach)
    rows: list[Tensor] = field(default_factory=list)
    """The row of its batch that each item belongs to."""
    sizes: list[int] = field(default_factory=list)
    """The rows of each batch."""

    @classmethod
    def of(cls, interventions: Iterable[Intervention]) -> "TeacherNotes":
        """No batch yet."""
        keys = tuple(interventions)
        return cls(
            {key: [] for key in keys}, {key: [] for key in keys}, {key: [] for key in keys}, {key: [] for key in keys}
        )


class TeacherCounterfactuals:
    """Observes the teacher. Holds all its counterfactuals of the present batch, and what is needed of earlier ones."""

    def __init__(self, asked: Iterable[MeasurementPlan]) -> None:
        asked = tuple(asked)
        self.interventions = dict.fromkeys(comparison.teacher for each in asked for comparison in each.comparisons)
        self.repeated = {comparison.teacher for each in asked for comparison in each.with_ceiling}
        self.noted = TeacherNotes.of(self.interventions)
        self.plain: Tensor | None = None
        self.now: dict[Intervention, Predictions] = {}
        self.effective: dict[Intervention, Tensor] = {}
        self.ceiling: dict[Intervention, Predictions] = {}
        self.rows = 0
        self.batch: Batch | None = None

    def start(self, passes: ModelPass) -> None:
        """Drops the previous batch."""
        self.batch = passes.batch
        self.now, self.effective, self.ceiling = {}, {}, {}
        self.plain, self.rows = passes.plain.choice, len(passes.batch.counted)
        self.noted.rows.append(passes.plain.row.cpu())
        self.noted.sizes.append(self.rows)

    def update(self, intervene: Intervened) -> None:
        """Adds the counterfactual of one intervention."""
        intervention, plain, found = intervene.intervention, intervene.plain, intervene.answer.predictions
        self.noted.reach.update(intervention, intervene.answer)
        self.now[intervention] = found
        if intervention in self.repeated:
            self.ceiling[intervention] = intervene.repeated
        effective = (~same(found.choice, plain.choice)).float()
        self.effective[intervention] = effective
        self.noted.counts[intervention].append(_by_row(torch.ones_like(effective), plain, self.rows))
        self.noted.effective_counts[intervention].append(_by_row(effective, plain, self.rows))
        self.noted.choices[intervention].append(found.choice.cpu())
        self.noted.effective[intervention].append(effective.cpu())

    def modal(self, intervention: Intervention) -> tuple[np.ndarray, np.ndarray]:
        """Matches and effective matches by pair of the best constant guesses."""
        noted = self.noted
        tallies = modal_matches(torch.cat(noted.choices[intervention]), torch.cat(noted.effective[intervention]))
        starts = [0, *accumulate(noted.sizes)]
        rows = torch.cat([row + start for row, start in zip(noted.rows, starts, strict=False)])
        whole, effective = (torch.zeros(starts[-1]).index_add(0, rows, tally) for tally in tallies)
        return whole.double().numpy(), effective.double().numpy()


@dataclass
class TableNotes:
    """What is known of a student on the batches so far; a list has an entry for each of them."""

    still: dict[Comparison, list[np.ndarray]]
    tallies: dict[tuple[Comparison, BaselineName], list[np.ndarray]] = field(default_factory=dict)
    """Of shape (3, batch): matches, effective matches, divergence."""
    reach: Reach = field(default_factory=Reach)


class Table:
    """Observes a student, after the teacher: matches for each comparison and baseline, and unchanged predictions."""

    def __init__(self, truth: TeacherCounterfactuals, asked: MeasurementPlan, seed: int) -> None:
        """`seed` is used for `norm_matched_random` and for the untrained student."""
        self.truth, self.asked, self.seed = truth, asked, seed
        self.own = dict.fromkeys(comparison.student for comparison in asked.comparisons)
        other = [comparison.wrong_layer for comparison in asked.comparisons] if "wrong_layer" in asked.baselines else []
        other += (
            [comparison.shuffled for comparison in asked.comparisons] if "shuffled_alignment" in asked.baselines else []
        )
        self.interventions = dict.fromkeys(
            [*self.own, *(intervention for intervention in other if intervention is not None)]
        )
        self.noted = TableNotes({comparison: [] for comparison in asked.comparisons})

    def start(self, passes: ModelPass) -> None:
        """Counts the baselines that need no prediction of the student."""
        for comparison in self.asked.with_ceiling:
            self._note(comparison, "ceiling", self.truth.ceiling[comparison.teacher])

    def update(self, intervene: Intervened) -> None:
        """Counts the counterfactual of one intervention in the student, and the baselines of that intervention."""
        intervention, plain, found = intervene.intervention, intervene.plain, intervene.answer.predictions
        self.noted.reach.update(intervention, intervene.answer)
        for baseline in (MEASURED, "wrong_layer", "shuffled_alignment"):
            self._tally(baseline, intervention, found)
        self._note_still(intervention, same(found.choice, plain.choice))
        if intervention not in self.own:
            return
        for name in self.asked.scored:
            predict = None if name == MEASURED else BASELINES[name].predict
            if predict is not None:
                self._tally(name, intervention, predict(intervene, self.seed))

    def note_untrained(self, intervene: Intervened) -> None:
        """Counts the counterfactual of one intervention in the untrained student."""
        self._tally("untrained_student", intervene.intervention, intervene.answer.predictions)

    def _tally(self, baseline: BaselineName, intervention: Intervention, found: Predictions) -> None:
        """Counts what the student predicted after an intervention, for every comparison that uses it."""
        if baseline not in self.asked.scored:
            return
        for comparison in self.asked.comparisons:
            wanted = {"wrong_layer": comparison.wrong_layer, "shuffled_alignment": comparison.shuffled}.get(
                baseline, comparison.student
            )
            if wanted == intervention:
                self._note(comparison, baseline, found)

    def _note(self, comparison: Comparison, baseline: BaselineName, found: Predictions) -> None:
        given, effective = self.truth.now[comparison.teacher], self.truth.effective[comparison.teacher]
        match = same(given.choice, found.choice).float()
        parts = (match, match * effective, divergence(given, found))
        by_row = np.stack([_by_row(part, given, self.truth.rows) for part in parts])
        self.noted.tallies.setdefault((comparison, baseline), []).append(by_row)

    def _note_still(self, intervention: Intervention, stays: Bool[Tensor, "item"]) -> None:
        """Counts where neither model's prediction changes, for every comparison with this student intervention."""
        for comparison in self.asked.comparisons:
            if comparison.student == intervention:
                still = stays.float() * (1 - self.truth.effective[comparison.teacher])
                self.noted.still[comparison].append(_by_row(still, self.truth.now[comparison.teacher], self.truth.rows))

    def measurement(self) -> Measurement:
        """The scores of every comparison under every baseline."""
        truth, noted, scores = self.truth.noted, self.noted, []
        for comparison in self.asked.comparisons:
            reachable = comparison.teacher in truth.reach and comparison.student in noted.reach
            counts, effective_counts = (
                np.concatenate(parts[comparison.teacher]) for parts in (truth.counts, truth.effective_counts)
            )
            for baseline in self.asked.scored:
                if baseline == "majority_class":
                    (matches, effective), kl = self.truth.modal(comparison.teacher), None
                elif (comparison, baseline) in noted.tallies:
                    matches, effective, kl = np.concatenate(noted.tallies[comparison, baseline], axis=1)
                else:  # There is no other layer or pair.
                    continue
                still = np.concatenate(noted.still[comparison]) if baseline == MEASURED else None
                scores.append(
                    Score(comparison, baseline, reachable, matches, counts, effective, effective_counts, kl, still)
                )
        return Measurement(tuple(scores))


class UntrainedCounter:
    """Observes an untrained student for the tables of all students of its configuration and seed."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self.tables = tuple(tables)
        self.interventions = dict.fromkeys(intervention for table in self.tables for intervention in table.own)
        self.noted = None  # the tables note it

    def start(self, passes: ModelPass) -> None:
        """Needs nothing of the base run alone."""

    def update(self, intervene: Intervened) -> None:
        """Gives the tables the untrained student's predictions."""
        for table in self.tables:
            table.note_untrained(intervene)


def _by_row(values: Float[Tensor, "item"], items: Predictions, rows: int) -> Float[np.ndarray, "batch"]:
    summed = torch.zeros(rows, dtype=torch.float64, device=values.device).index_add(0, items.row, values.double())
    return summed.cpu().numpy()
