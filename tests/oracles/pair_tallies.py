"""What an interchange measurement counts, kept as its definition says it: float64 arrays with an entry a pair."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from causalkd.verification.interventions.baselines import modal_matches
from causalkd.verification.interventions.counterfactuals import Intervened, ModelPass
from causalkd.verification.interventions.passes import Observer
from causalkd.verification.interventions.plan import Comparison, Intervention
from causalkd.verification.interventions.predictions import Predictions, divergence, same
from causalkd.verification.measures.counters import MeasurementPlan, TeacherCounterfactuals
from causalkd.verification.results.baselines import BASELINES, MEASURED, BaselineName

Arrays = Mapping[str, np.ndarray]
"""`matches`, `effective_matches`, `counts`, `effective_counts` of each pair; perhaps `divergence` and `still`."""


@dataclass
class _Kept:
    """By key, an array for each batch."""

    arrays: dict[tuple[object, ...], list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))
    choices: dict[Intervention, list[Tensor]] = field(default_factory=lambda: defaultdict(list))
    plain: list[Tensor] = field(default_factory=list)
    row: list[Tensor] = field(default_factory=list)
    pairs: int = 0


class ByPair(Observer):
    """Observes a student, after the teacher and its observer."""

    def __init__(self, truth: TeacherCounterfactuals, asked: MeasurementPlan, seed: int) -> None:
        self._truth, self._asked, self._seed = truth, asked, seed
        self.own = dict.fromkeys(comparison.student for comparison in asked.comparisons)
        others = [each for comparison in asked.comparisons for each in (comparison.wrong_layer, comparison.shuffled)]
        self.interventions = dict.fromkeys([*self.own, *(each for each in others if each is not None)])
        self.noted = _Kept()

    def start(self, passes: ModelPass) -> None:
        truth, noted = self._truth, self.noted
        assert truth.plain is not None
        noted.row.append(truth.plain.row + noted.pairs)
        noted.plain.append(truth.plain.choice)
        noted.pairs += truth.rows
        for comparison in self._asked.comparisons:
            given = truth.now[comparison.teacher]
            self._keep(comparison, "counts", torch.ones(len(given.row)), given)
            self._keep(comparison, "effective_counts", ~same(given.choice, truth.plain.choice), given)
        for comparison in self._asked.with_ceiling:
            self._compare(comparison, "ceiling", truth.ceiling[comparison.teacher])
        for intervention in {comparison.teacher for comparison in self._asked.comparisons}:
            noted.choices[intervention].append(truth.now[intervention].choice)

    def update(self, intervene: Intervened) -> None:
        found, plain = intervene.counterfactual.predictions, intervene.plain
        for comparison in self._asked.comparisons:
            if comparison.student == intervene.intervention:
                self._compare(comparison, MEASURED, found)
                changed = ~same(self._truth.now[comparison.teacher].choice, self._taught.choice)
                self._keep(comparison, "still", same(found.choice, plain.choice) & ~changed, plain)
                for name in self._asked.scored:
                    predict = None if name == MEASURED else BASELINES[name].predict
                    if predict is not None:
                        self._compare(comparison, name, predict(intervene, self._seed))
            if comparison.wrong_layer == intervene.intervention:
                self._compare(comparison, "wrong_layer", found)
            if comparison.shuffled == intervene.intervention:
                self._compare(comparison, "shuffled_alignment", found)

    def note_untrained(self, intervene: Intervened) -> None:
        for comparison in self._asked.comparisons:
            if comparison.student == intervene.intervention:
                self._compare(comparison, "untrained_student", intervene.counterfactual.predictions)

    @property
    def _taught(self) -> Predictions:
        assert self._truth.plain is not None
        return self._truth.plain

    def _compare(self, comparison: Comparison, baseline: BaselineName, found: Predictions) -> None:
        given = self._truth.now[comparison.teacher]
        match, changed = same(given.choice, found.choice), ~same(given.choice, self._taught.choice)
        self._keep(comparison, (baseline, "matches"), match, given)
        self._keep(comparison, (baseline, "effective_matches"), match & changed, given)
        self._keep(comparison, (baseline, "divergence"), divergence(given, found), given)

    def _keep(self, comparison: Comparison, key: object, values: Tensor, items: Predictions) -> None:
        array = np.zeros(self._truth.rows)
        np.add.at(array, items.row.numpy(), values.double().numpy())
        self.noted.arrays[comparison, key].append(array)

    def arrays(self) -> dict[tuple[Comparison, BaselineName], Arrays]:
        """The arrays of every comparison under every baseline."""
        kept = {key: np.concatenate(parts) for key, parts in self.noted.arrays.items()}
        found: dict[tuple[Comparison, BaselineName], Arrays] = {}
        for comparison in self._asked.comparisons:
            whole = {name: kept[comparison, name] for name in ("counts", "effective_counts")}
            for baseline in self._asked.scored:
                if baseline == "majority_class":
                    own = dict(zip(("matches", "effective_matches"), self._modal(comparison.teacher), strict=True))
                else:
                    names = ("matches", "effective_matches", "divergence")
                    keys = {name: (comparison, (baseline, name)) for name in names}
                    own = {name: kept[key] for name, key in keys.items() if key in kept}
                    if baseline == MEASURED:
                        own["still"] = kept[comparison, "still"]
                if own:
                    found[comparison, baseline] = whole | own
        return found

    def _modal(self, intervention: Intervention) -> list[np.ndarray]:
        noted = self.noted
        choice, row = torch.cat(noted.choices[intervention]), torch.cat(noted.row).numpy()
        guesses = modal_matches(choice, (~same(choice, torch.cat(noted.plain))).float())
        return [np.bincount(row, weights=guess.double().numpy(), minlength=noted.pairs) for guess in guesses]


class UntrainedByPair(Observer):
    """Observes an untrained student for a student's arrays."""

    def __init__(self, arrays: ByPair) -> None:
        self._arrays, self.interventions, self.noted = arrays, arrays.own, None

    def update(self, intervene: Intervened) -> None:
        self._arrays.note_untrained(intervene)
