"""Counters that run while batches pass: the teacher's counterfactuals, and how often a student's equal them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

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


class TeacherCounterfactuals:
    """Observes the teacher. Holds all its counterfactuals of the present batch, and what is needed of earlier ones."""

    def __init__(self, asked: Iterable[MeasurementPlan]) -> None:
        asked = tuple(asked)
        self.interventions = dict.fromkeys(comparison.teacher for each in asked for comparison in each.comparisons)
        self.repeated = {comparison.teacher for each in asked for comparison in each.with_ceiling}
        self.reach = Reach()
        self.plain: Tensor | None = None
        self.now: dict[Intervention, Predictions] = {}
        self.effective: dict[Intervention, Tensor] = {}
        self.ceiling: dict[Intervention, Predictions] = {}
        self.counts: dict[Intervention, list[np.ndarray]] = {intervention: [] for intervention in self.interventions}
        self.effective_counts: dict[Intervention, list[np.ndarray]] = {
            intervention: [] for intervention in self.interventions
        }
        self._choices: dict[Intervention, list[Tensor]] = {intervention: [] for intervention in self.interventions}
        self._effective: dict[Intervention, list[Tensor]] = {intervention: [] for intervention in self.interventions}
        self._rows: list[Tensor] = []
        self._pairs = 0
        self.rows = 0

    def start(self, passes: ModelPass) -> None:
        """Drops the previous batch."""
        self.now, self.effective, self.ceiling = {}, {}, {}
        self.plain, self.rows = passes.plain.choice, len(passes.batch.counted)
        self._rows.append(passes.plain.row + self._pairs)
        self._pairs += self.rows

    def update(self, intervene: Intervened) -> None:
        """Adds the counterfactual of one intervention."""
        intervention, plain, found = intervene.intervention, intervene.plain, intervene.answer.predictions
        self.reach.update(intervention, intervene.answer)
        self.now[intervention] = found
        if intervention in self.repeated:
            self.ceiling[intervention] = intervene.repeated
        effective = (~same(found.choice, plain.choice)).float()
        self.effective[intervention] = effective
        self.counts[intervention].append(_by_row(torch.ones_like(effective), plain, self.rows))
        self.effective_counts[intervention].append(_by_row(effective, plain, self.rows))
        self._choices[intervention].append(found.choice)
        self._effective[intervention].append(effective)

    def modal(self, intervention: Intervention) -> tuple[np.ndarray, np.ndarray]:
        """Matches and effective matches by pair of the best constant guesses."""
        tallies = modal_matches(torch.cat(self._choices[intervention]), torch.cat(self._effective[intervention]))
        rows = torch.cat(self._rows)
        whole, effective = (torch.zeros(self._pairs, device=rows.device).index_add(0, rows, t) for t in tallies)
        return whole.double().cpu().numpy(), effective.double().cpu().numpy()


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
        self.reach = Reach()
        self._tallies: dict[tuple[Comparison, BaselineName], list[np.ndarray]] = {}  # of shape (3, batch)
        self._still: dict[Comparison, list[np.ndarray]] = {comparison: [] for comparison in asked.comparisons}

    def start(self, passes: ModelPass) -> None:
        """Counts the baselines that need no prediction of the student."""
        for comparison in self.asked.with_ceiling:
            self._note(comparison, "ceiling", self.truth.ceiling[comparison.teacher])

    def update(self, intervene: Intervened) -> None:
        """Counts the counterfactual of one intervention in the student, and the baselines of that intervention."""
        intervention, plain, found = intervene.intervention, intervene.plain, intervene.answer.predictions
        self.reach.update(intervention, intervene.answer)
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
        self._tallies.setdefault((comparison, baseline), []).append(by_row)

    def _note_still(self, intervention: Intervention, stays: Bool[Tensor, "item"]) -> None:
        """Counts where neither model's prediction changes, for every comparison with this student intervention."""
        for comparison in self.asked.comparisons:
            if comparison.student == intervention:
                still = stays.float() * (1 - self.truth.effective[comparison.teacher])
                self._still[comparison].append(_by_row(still, self.truth.now[comparison.teacher], self.truth.rows))

    def measurement(self) -> Measurement:
        """The scores of every comparison under every baseline."""
        truth, scores = self.truth, []
        for comparison in self.asked.comparisons:
            reachable = comparison.teacher in truth.reach and comparison.student in self.reach
            counts, effective_counts = (
                np.concatenate(parts[comparison.teacher]) for parts in (truth.counts, truth.effective_counts)
            )
            for baseline in self.asked.scored:
                if baseline == "majority_class":
                    (matches, effective), kl = truth.modal(comparison.teacher), None
                elif (comparison, baseline) in self._tallies:
                    matches, effective, kl = np.concatenate(self._tallies[comparison, baseline], axis=1)
                else:  # There is no other layer or pair.
                    continue
                still = np.concatenate(self._still[comparison]) if baseline == MEASURED else None
                scores.append(
                    Score(comparison, baseline, reachable, matches, counts, effective, effective_counts, kl, still)
                )
        return Measurement(tuple(scores))


class UntrainedCounter:
    """Observes an untrained student for the tables of all students of its configuration and seed."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self.tables = tuple(tables)
        self.interventions = dict.fromkeys(intervention for table in self.tables for intervention in table.own)

    def start(self, passes: ModelPass) -> None:
        """Needs nothing of the base run alone."""

    def update(self, intervene: Intervened) -> None:
        """Gives the tables the untrained student's predictions."""
        for table in self.tables:
            table.note_untrained(intervene)


def _by_row(values: Float[Tensor, "item"], items: Predictions, rows: int) -> Float[np.ndarray, "batch"]:
    summed = torch.zeros(rows, dtype=torch.float64, device=values.device).index_add(0, items.row, values.double())
    return summed.cpu().numpy()
