"""The interval of a task metric, and the paired difference of two models in it with its test.

Shares of right predictions (accuracy, exact match) have Wilson's interval, the paired interval of their difference and
the exact test of `statistics`, which is McNemar's if a row has one prediction. For every other metric rows are
resampled: the interval holds the middle 95 % of 1,000 bootstrap samples, and p is that of a permutation test that
permutes the two models in each row (Efron and Tibshirani 1993, chapters 13 and 15). The row (a sentence, a question, a
text) is drawn as a whole, since the predictions within one depend on each other.

If every row is right, every bootstrap sample is right too, and the interval would have length 0; likewise the samples
of two models with equal predictions do not differ. Therefore an interval of F1 or Matthews' correlation reaches at
least as far as Wilson's would if every row were right, or wrong; and a difference that no sample changes has the
interval of the difference of such shares. Coverage of 95 % intervals, measured with 40 rows of which 98 % are right and
with 100 rows of which 99 % are: 49 to 63 % by the samples alone, 98 to 100 % by these.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import TypedDict

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import DegenerateDataWarning, bootstrap, pearsonr, permutation_test, rankdata, zscore

from causalkd.verification.measures.label_counts import macro_f1, matthews
from causalkd.verification.measures.metric_tallies import RATIOS, Tally
from causalkd.verification.measures.metrics import METRICS, LabelPredictions
from causalkd.verification.measures.task_metrics import Behaviour
from causalkd.verification.results.rows import TaskDifferenceRow, TaskScoreRow
from causalkd.verification.statistics.intervals import LEVEL, Interval, difference_interval, intervals
from causalkd.verification.statistics.permutation import paired_permutation_p

RESAMPLES = 1000
"""Bootstrap samples of an interval, and permutations of a test."""
_AT_ONCE = 2**20
"""Rows of all samples that are scored together."""
_OF_RIGHT_ROWS: Mapping[str, float] = {"macro_f1": 0.0, "matthews_correlation": -1.0}
"""The metrics that are 1 if every row is right, with their lowest values."""

Score = Callable[[Int[np.ndarray, "*samples drawn"]], Float[np.ndarray, "*samples"]]
"""The metric of each of some samples; a sample may name a row several times. NaN if it is not defined."""


@dataclass(frozen=True)
class MetricDifference:
    """The amount by which one model's metric exceeds another's on the same rows."""

    difference: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    p_value: float
    """Two-sided."""
    rows: int


class TaskCertainty(TypedDict):
    """The fields of a report with the intervals and differences of the task metric."""

    task_scores: tuple[TaskScoreRow, ...]
    task_differences: tuple[TaskDifferenceRow, ...]


def metric_interval(answers: LabelPredictions, metric: str, seed: int = 0) -> Interval | None:
    """The 95 % interval of a metric over rows. None if the metric is not defined, if there are fewer than two rows, or
    if no sample of the rows changes it (for instance Matthews' correlation, 0, of a model that predicts one class).

    Args:
        answers: The predictions of a model, as `answers_of` returns them.
        metric: A name in `METRICS`.
        seed: Seed of the resampling.
    """
    rows, score = _scored(answers, metric)
    if rows < 2 or METRICS[metric][1](answers) is None:
        return None
    ratio = RATIOS.get(metric)
    if ratio is not None and ratio.is_share:
        return intervals(ratio.above(answers)[None], ratio.below(answers)[None])[0]
    found = _widened(_bootstrapped(score, rows, seed), _share_like(answers, metric), metric)
    return None if found is None or found.low == found.high else found


def metric_difference(
    answers: LabelPredictions, reference: LabelPredictions, metric: str, seed: int = 0
) -> MetricDifference | None:
    """How much higher a metric is for one model than for another; None unless it is defined for both.

    Arguments are those of `metric_interval`. Raises ValueError if the two have different numbers of rows.
    """
    (rows, own), (others, other) = _scored(answers, metric), _scored(reference, metric)
    if rows != others:
        raise ValueError(f"{rows} rows cannot be compared with {others}; measure both models on the same rows")
    values = [METRICS[metric][1](each) for each in (answers, reference)]
    if rows < 2 or values[0] is None or values[1] is None:
        return None
    difference, ratio = values[0] - values[1], RATIOS.get(metric)
    if ratio is not None and ratio.is_share:
        right, counts, given = ratio.above(answers), ratio.below(answers), ratio.above(reference)
        found, p_value = difference_interval(right, given, counts), paired_permutation_p(right, given)
    else:
        found = _bootstrapped(lambda chosen: own(chosen) - other(chosen), rows, seed)
        found = _widened_difference(found, _share_like(answers, metric), _share_like(reference, metric), metric)
        p_value = _permuted(answers, reference, metric, seed)
    return None if found is None else MetricDifference(difference, found.low, found.high, p_value, rows)


def task_certainty(
    teacher: Behaviour,
    students: Mapping[tuple[str, int], Behaviour],
    metric: str,
    references: Mapping[str, Sequence[str]],
) -> TaskCertainty:
    """The task metric of every model with its interval, and its difference between each student and its references,
    seed by seed.

    Args:
        teacher: The measurements of the teacher.
        students: The measurements of each student, by name and seed.
        metric: The task metric.
        references: For each student, the others that it is compared with.
    """
    scores, compared = [], []
    models: list[tuple[str, int | None, Behaviour]] = [("teacher", None, teacher)]
    for name, seed, found in [*models, *((name, seed, found) for (name, seed), found in students.items())]:
        interval = None if found.answers is None else metric_interval(found.answers, metric)
        if interval is not None and found.task_metric is not None and found.answers is not None:
            rows, _ = _scored(found.answers, metric)
            scores.append(TaskScoreRow(name, seed, found.task_metric, interval.low, interval.high, rows))
    for (name, seed), found in students.items():
        for other in references[name]:
            reference = students.get((other, seed))
            if reference is None or found.answers is None or reference.answers is None:
                continue
            difference = metric_difference(found.answers, reference.answers, metric)
            if difference is not None:
                compared.append(TaskDifferenceRow(name, seed, other, *astuple(difference)))
    return {"task_scores": tuple(scores), "task_differences": tuple(compared)}


def _bootstrapped(score: Score, rows: int, seed: int) -> Interval | None:
    with warnings.catch_warnings():  # scipy's own interval, which is not used, is undefined if all samples are equal
        warnings.simplefilter("ignore", DegenerateDataWarning)
        found = bootstrap(
            (np.arange(rows),),
            lambda chosen, axis: score(chosen),
            vectorized=True,
            method="percentile",
            n_resamples=RESAMPLES,
            batch=max(1, _AT_ONCE // rows),
            confidence_level=LEVEL,
            rng=np.random.default_rng(seed),
        )
    sampled = found.bootstrap_distribution[np.isfinite(found.bootstrap_distribution)]
    if not len(sampled):
        return None
    low, high = np.quantile(sampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])  # of the samples in which it is defined
    return Interval(float(low), float(high))


def _share_like(answers: LabelPredictions, metric: str) -> tuple[Tally, Tally] | None:
    """The number that is right in each row and the number in all, as the metric counts them; None if it counts none."""
    ratio = RATIOS.get("accuracy" if metric in _OF_RIGHT_ROWS else metric)
    return None if ratio is None or not ratio.is_bounded else (ratio.above(answers), ratio.below(answers))


def _widened(found: Interval | None, share: tuple[Tally, Tally] | None, metric: str) -> Interval | None:
    """The interval, widened to the limits that it would have if all rows were right, or all wrong."""
    if found is None or share is None:
        return found
    counts, worst = share[1][None], _OF_RIGHT_ROWS.get(metric, 0.0)
    right, wrong = intervals(counts, counts)[0], intervals(0 * counts, counts)[0]
    if right is None or wrong is None:
        return found
    low, high = (worst + (1 - worst) * end for end in (right.low, wrong.high))
    return Interval(min(found.low, low), max(found.high, high))


def _widened_difference(
    found: Interval | None, own: tuple[Tally, Tally] | None, other: tuple[Tally, Tally] | None, metric: str
) -> Interval | None:
    """The interval, or, if no sample changes the difference, that of shares over the same predictions."""
    if found is None or found.low < found.high or own is None or other is None or not np.array_equal(own[1], other[1]):
        return found
    shares = difference_interval(own[0], other[0], own[1])
    span = 1 - _OF_RIGHT_ROWS.get(metric, 0.0)
    return found if shares is None else Interval(span * shares.low, span * shares.high)


def _permuted(answers: LabelPredictions, reference: LabelPredictions, metric: str, seed: int) -> float:
    """Two-sided p-value of the metric's difference, by permuting the models in random subsets of the rows."""
    _, score = _scored(_one_after_the_other(*(_without_unit(each, metric) for each in (answers, reference))), metric)
    rows = _scored(answers, metric)[0]
    found = permutation_test(
        (np.arange(rows), np.arange(rows) + rows),
        lambda own, other, axis: score(own) - score(other),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, _AT_ONCE // rows),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def _without_unit(answers: LabelPredictions, metric: str) -> LabelPredictions:
    """The predictions without their unit, for a correlation: as ranks, or as z-scores.

    A correlation does not depend on the unit of the predictions, but a sample that mixes two units would have another
    one.
    """
    if metric not in ("pearson", "spearman"):
        return answers
    choice = answers.choice.double().numpy()
    plain = rankdata(choice) if metric == "spearman" else zscore(choice)
    return replace(answers, choice=torch.from_numpy(plain))


def _scored(answers: LabelPredictions, metric: str) -> tuple[int, Score]:
    """The number of rows, and a function for the metric of some of them."""
    ratio = RATIOS.get(metric)
    if ratio is not None:
        above, below, finish = ratio.above(answers), ratio.below(answers), np.vectorize(ratio.finish, otypes=[float])
        return len(above), lambda chosen: finish(_divided(above, below, chosen))
    if metric in ("pearson", "spearman"):
        return len(answers.row), _correlated(answers, by_rank=metric == "spearman")
    of_classes = {"macro_f1": macro_f1, "matthews_correlation": matthews}[metric]
    return len(answers.row), lambda chosen: of_classes(answers, chosen)


def _correlated(answers: LabelPredictions, by_rank: bool) -> Score:
    gold, choice = (values.double().numpy() for values in (answers.gold, answers.choice))

    def score(chosen: Int[np.ndarray, "*samples drawn"]) -> Float[np.ndarray, "*samples"]:
        pairs = [rankdata(each[chosen], axis=-1) if by_rank else each[chosen] for each in (gold, choice)]
        with warnings.catch_warnings():  # the correlation of a sample of equal values is NaN
            warnings.simplefilter("ignore", DegenerateDataWarning)
            return np.asarray(pearsonr(*pairs, axis=-1)[0])

    return score


def _divided(above: Tally, below: Tally, chosen: Int[np.ndarray, "*samples drawn"]) -> Float[np.ndarray, "*samples"]:
    sums = [np.asarray(each[chosen].sum(-1)) for each in (above, below)]
    return np.divide(*sums, out=np.zeros(sums[0].shape), where=sums[1] != 0)


def _one_after_the_other(first: LabelPredictions, second: LabelPredictions) -> LabelPredictions:
    """All rows of one, followed by all rows of the other."""
    shift = int(first.row.max()) + 1 if len(first.row) else 0
    known = (first.gold_log_probability, second.gold_log_probability)
    return LabelPredictions(
        torch.cat([first.row, second.row + shift]),
        torch.cat([first.choice, second.choice]),
        torch.cat([first.gold, second.gold]),
        None if known[0] is None or known[1] is None else torch.cat([known[0], known[1]]),
        first.labels,
        (*first.answered, *second.answered),
        (*first.tags, *second.tags),
        first.positive,
    )
