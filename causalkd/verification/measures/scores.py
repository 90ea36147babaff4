"""The scores of a measurement: matches pair by pair for every comparison and baseline, and their report rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, TypeVar, get_args

import numpy as np
from jaxtyping import Float

from causalkd.verification.interventions.plan import Comparison
from causalkd.verification.measures.pair_numbers import PairNumbers
from causalkd.verification.results.baselines import MEASURED, BaselineName
from causalkd.verification.results.interchange_rows import DifferenceRow, InterchangeRow, Measure
from causalkd.verification.statistics.intervals import Interval, Shared, difference_interval, intervals, shares
from causalkd.verification.statistics.permutation import benjamini_hochberg, paired_permutation_p

Column = Literal["matches", "counts", "effective_matches", "effective_counts", "still"]
Row = TypeVar("Row", InterchangeRow, DifferenceRow)
COLUMNS: tuple[Column, ...] = get_args(Column)


@dataclass(frozen=True, eq=False)
class Score:
    """One comparison under one baseline. Every array has one entry per pair, a sum over the pair's predictions."""

    comparison: Comparison
    baseline: BaselineName
    reachable: bool
    """Whether both interventions can change a counted logit; for a baseline, that of the measurement itself."""
    kept: Mapping[Column, PairNumbers]
    """The arrays below, and `still`: the number of predictions that neither model's intervention changed."""
    nats: Fraction | float | None
    """The sum over all predictions of KL(teacher counterfactual || student counterfactual); None if the baseline has no
    distribution."""
    shared: Shared = ()
    """The bases and the sources that pairs share, for intervals and tests."""

    @property
    def matches(self) -> Float[np.ndarray, "pairs"]:
        """The number of predictions that equal the teacher's counterfactual ones."""
        return self._array("matches")

    @property
    def counts(self) -> Float[np.ndarray, "pairs"]:
        """The number of all predictions of a pair, often 1."""
        return self._array("counts")

    @property
    def effective_matches(self) -> Float[np.ndarray, "pairs"]:
        """The matches among the predictions that the teacher's intervention changed."""
        return self._array("effective_matches")

    @property
    def effective_counts(self) -> Float[np.ndarray, "pairs"]:
        """The number of predictions that the teacher's intervention changed."""
        return self._array("effective_counts")

    def _array(self, column: Column) -> Float[np.ndarray, "pairs"]:
        return self.kept[column].values.astype(np.float64)

    @property
    def iia(self) -> float | None:
        """The share of predictions equal to the teacher's; None if nothing is counted."""
        return shares(self.matches[None], self.counts[None])[0]

    @property
    def iia_effective(self) -> float | None:
        """The same share over effective pairs; None if there are none."""
        return shares(self.effective_matches[None], self.effective_counts[None])[0]

    @property
    def effective_pairs(self) -> int:
        """The number of pairs with a prediction that the teacher's intervention changed."""
        return int((self.effective_counts > 0).sum())

    @property
    def kl(self) -> float | None:
        """The mean divergence of a prediction, in nats."""
        total = self.counts.sum()
        return None if self.nats is None or not total else float(self.nats) / float(total)

    @property
    def specificity(self) -> float | None:
        """The share of the predictions that the student's intervention does not change either, of those that the
        teacher's does not change; None for baselines.
        """
        if self.baseline != MEASURED or "still" not in self.kept:
            return None
        return shares(self._array("still")[None], (self.counts - self.effective_counts)[None])[0]

    def tallies(self, measure: Measure) -> tuple[Float[np.ndarray, "pairs"], Float[np.ndarray, "pairs"]]:
        """The matches and counts of a measure."""
        return (self.matches, self.counts) if measure == "iia" else (self.effective_matches, self.effective_counts)


@dataclass(frozen=True)
class Difference:
    """A paired difference of two scores, its 95 % interval and its p-value."""

    pairs: int
    """The number of pairs that the measure counts."""
    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, eq=False)
class Measurement:
    """Every score of one student.

    Attributes:
        scores: The comparisons in the order of the plan, each under every baseline.
    """

    scores: tuple[Score, ...]

    def score(
        self,
        teacher_layer: int,
        student_layer: int,
        baseline: BaselineName = "measured",
        pair: str | None = None,
        head: int | None = None,
        student_head: int | None = None,
    ) -> Score:
        """The score at these layers, of the named pair and of the numbered heads if they are given.

        Raises:
            ValueError: There is no such score, or several; the message lists those that exist.
        """
        site = (teacher_layer, student_layer, pair, head, student_head)
        of_baseline = [score for score in self.scores if score.baseline == baseline]
        found = [
            score
            for score in of_baseline
            if all(wanted in (None, own) for wanted, own in zip(site, _site(score), strict=True))
        ]
        if len(found) == 1:
            return found[0]
        names = ("teacher layer", "student layer", "pair", "head", "student head")
        given = ", ".join(f"{name} {value!r}" for name, value in zip(names, site, strict=True) if value is not None)
        baselines = "" if found else f"; there are the baselines {sorted({score.baseline for score in self.scores})}"
        raise ValueError(
            f"{len(found) or 'no'} scores at {given}, baseline {baseline!r}{baselines}. Choose one of these "
            f"({', '.join(names)}): {[_site(score) for score in found or of_baseline]}"
        )

    def rows(self, student: str, seed: int) -> tuple[InterchangeRow, ...]:
        """The scores as rows of a report; a baseline's row has the p-value of the measurement against it."""
        whole = _intervals(self, "iia")
        effective = _intervals(self, "iia_effective")
        rows = [_row(student, seed, score, *ends) for score, *ends in zip(self.scores, whole, effective, strict=True)]
        return adjusted(replace(row, p_value=p) for row, p in zip(rows, self._p_values(), strict=True))

    def _p_values(self) -> list[float | None]:
        """The p-value of the difference between the measurement and each baseline on effective pairs."""
        real = {score.comparison: score for score in self.scores if score.baseline == "measured"}
        return [
            paired_permutation_p(real[score.comparison].effective_matches, score.effective_matches, score.shared)
            if score.baseline != "measured" and score.reachable and score.effective_pairs
            else None
            for score in self.scores
        ]


def _site(score: Score) -> tuple[int, int, str, int | None, int | None]:
    comparison = score.comparison
    layers = (comparison.teacher_layer, comparison.student_layer)
    return (*layers, comparison.pair, comparison.head, comparison.student_head)


def paired_difference(score: Score, reference: Score, measure: Measure = "iia_effective") -> Difference:
    """The difference of a score from a reference over the same pairs.

    Raises:
        ValueError: The two were not measured on the same pairs with the same teacher counterfactual, or count nothing.
    """
    matches, counts = score.tallies(measure)
    others, same_counts = reference.tallies(measure)
    if not np.array_equal(counts, same_counts):
        raise ValueError(
            f"a paired difference needs the same pairs and the same teacher site in both; got {len(counts)} pairs with "
            f"{counts.sum():g} counted predictions and {len(same_counts)} with {same_counts.sum():g}. "
            "Measure both on the same batches"
        )
    found = difference_interval(matches, others, counts, score.shared)
    if found is None:
        raise ValueError(f"no pair is counted by {measure}, so there is nothing to compare; measure on more pairs")
    difference = float((matches.sum() - others.sum()) / counts.sum())
    p_value = paired_permutation_p(matches, others, score.shared)
    return Difference(int((counts > 0).sum()), difference, found.low, found.high, p_value)


def differences(
    measurements: Mapping[tuple[str, int], Measurement], references: Mapping[str, Sequence[str]]
) -> tuple[DifferenceRow, ...]:
    """The differences that claims are based on: at each aligned site, each student against its references and
    baselines.

    Args:
        measurements: The measurements by student name and seed.
        references: For each student, the others that it is compared with, seed by seed.
    """
    found: list[DifferenceRow] = []
    for (name, seed), measurement in measurements.items():
        others = [(other, measurements[other, seed]) for other in references[name] if (other, seed) in measurements]
        for score in measurement.scores:
            comparison = score.comparison
            if not (comparison.kind == "aligned" and score.reachable):
                continue
            layers = (comparison.teacher_layer, comparison.student_layer)
            site = (*layers, "measured", comparison.pair, comparison.head, comparison.student_head)
            if score.baseline != "measured":  # the measurement itself against this baseline
                found += _difference_rows(measurement.score(*site), score, name, name, seed)
                continue
            for other, measured in others:
                reference = measured.score(*site)
                if reference.reachable:  # otherwise it has no accuracy in tables either
                    found += _difference_rows(score, reference, name, other, seed)
    return adjusted(found)


def _difference_rows(score: Score, reference: Score, student: str, other: str, seed: int) -> list[DifferenceRow]:
    comparison, rows = score.comparison, []
    for measure in ("iia", "iia_effective"):
        if not score.tallies(measure)[1].any():
            continue
        found = paired_difference(score, reference, measure)
        site = (comparison.pair, comparison.teacher_layer, comparison.student_layer)
        values = (found.pairs, found.difference, found.low, found.high, found.p_value)
        rows.append(DifferenceRow(student, seed, other, reference.baseline, *site, measure, *values))
    return rows


def adjusted(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows with p-values adjusted for the number of sites, among these rows, at which the same two were
    compared.
    """
    found, families = list(rows), dict[tuple[object, ...], list[int]]()
    for index, row in enumerate(found):
        compared = (row.reference, row.measure) if isinstance(row, DifferenceRow) else ()
        families.setdefault((row.student, row.seed, row.baseline, *compared), []).append(index)
    for indices in families.values():
        for index, q in zip(indices, benjamini_hochberg([found[index].p_value for index in indices]), strict=True):
            found[index] = replace(found[index], q_value=q)
    return tuple(found)


def _intervals(measurement: Measurement, measure: Measure) -> list[Interval | None]:
    # One at a time, because unpacked arrays are large.
    found = ((score.shared, *score.tallies(measure)) for score in measurement.scores)
    return [intervals(matches[None], counts[None], shared)[0] for shared, matches, counts in found]


def _row(student: str, seed: int, score: Score, whole: Interval | None, effective: Interval | None) -> InterchangeRow:
    comparison = score.comparison
    return InterchangeRow(
        student=student,
        baseline=score.baseline,
        pair=comparison.pair,
        component=comparison.component,
        unit=comparison.unit,
        head=comparison.head,
        teacher_layer=comparison.teacher_layer,
        student_layer=comparison.student_layer,
        aligned=comparison.kind == "aligned",
        touched=comparison.kind == "touched",
        reachable=score.reachable,
        iia=score.iia,
        iia_low=whole and whole.low,
        iia_high=whole and whole.high,
        iia_effective=score.iia_effective,
        effective_pairs=score.effective_pairs,
        pairs=score.kept["counts"].packed.shape[2],
        kl=score.kl,
        seed=seed,
        iia_effective_low=effective and effective.low,
        iia_effective_high=effective and effective.high,
        specificity=score.specificity,
        student_head=comparison.student_head,
    )
