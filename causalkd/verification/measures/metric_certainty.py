"""How certain a task metric is, and whether two models differ in it by more than chance.

Shares of right predictions (accuracy, exact match) have Wilson's interval, the paired interval of their difference and
the exact test of `statistics`, which is McNemar's where a row has one prediction. For every other metric rows are
resampled: the interval holds the middle 95 % of 1,000 bootstrap samples, and p is that of a permutation test in which,
row by row, the two models could change places (Efron and Tibshirani 1993, chapters 13 and 15). The row (a sentence, a
question, a text) is what is drawn, since the predictions within one depend on each other.

Samples of rows that are all right are all right, and samples of two models that answer alike do not differ. So an
interval of F1 or Matthews' correlation reaches at least as far as Wilson's would if every row were right, or wrong; and
a difference that no sample changes has the interval of that of such shares. With 40 rows of which 98 % are right, or
100 of which 99 % are, intervals of the samples alone held the true value 49 to 63 % of the time, and these 98 to 100 %.
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
"""The metrics that are 1 where every row is right, and their lowest values."""

Score = Callable[[Int[np.ndarray, "*samples drawn"]], Float[np.ndarray, "*samples"]]
"""The metric of each of some samples; a sample may name a row several times. NaN where it is not defined."""


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
    """The fields of a report that say how certain the task metric is."""

    task_scores: tuple[TaskScoreRow, ...]
    task_differences: tuple[TaskDifferenceRow, ...]


def metric_interval(answers: LabelPredictions, metric: str, seed: int = 0) -> Interval | None:
    """The 95 % interval of a metric over rows; None where it is not defined, where no sample of the rows changes it,
    as of a model that predicts one class, whose Matthews' correlation is 0, or where there are fewer than two rows.

    Args:
        answers: What a model predicts, as `answers_of` gives it.
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
    """How much higher a metric is for one model than for another; None where it is not defined for both.

    Arguments are those of `metric_interval`. Raises ValueError where the two are not of the same rows.
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
    """The task metric of every model with its interval, and of each student beside its references, seed by seed.

    Args:
        teacher: What the teacher does.
        students: What each student does, by name and seed.
        metric: The task metric.
        references: By student, the others with which it is compared.
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
    with warnings.catch_warnings():  # scipy's own interval, which is not used, is undefined where all samples are equal
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
    low, high = np.quantile(sampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])  # without samples where it is not defined
    return Interval(float(low), float(high))


def _share_like(answers: LabelPredictions, metric: str) -> tuple[Tally, Tally] | None:
    """What is right in each row and how much there is, as the metric counts it; None where that means nothing."""
    ratio = RATIOS.get("accuracy" if metric in _OF_RIGHT_ROWS else metric)
    return None if ratio is None or not ratio.is_bounded else (ratio.above(answers), ratio.below(answers))


def _widened(found: Interval | None, share: tuple[Tally, Tally] | None, metric: str) -> Interval | None:
    """The interval, no end of it nearer to certainty than where all rows are right, or all wrong."""
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
    """The interval, or that of shares over the same predictions where no sample changes the difference."""
    if found is None or found.low < found.high or own is None or other is None or not np.array_equal(own[1], other[1]):
        return found
    shares = difference_interval(own[0], other[0], own[1])
    span = 1 - _OF_RIGHT_ROWS.get(metric, 0.0)
    return found if shares is None else Interval(span * shares.low, span * shares.high)


def _permuted(answers: LabelPredictions, reference: LabelPredictions, metric: str, seed: int) -> float:
    """Two-sided p-value of the metric's difference, where the models change places in a random half of the rows."""
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
    """The predictions as a correlation sees them: their ranks, or their distances from the mean in deviations.

    A correlation does not change with the unit of the predictions, but predictions of two units in one sample are not
    correlated with anything.
    """
    if metric not in ("pearson", "spearman"):
        return answers
    choice = answers.choice.double().numpy()
    plain = rankdata(choice) if metric == "spearman" else zscore(choice)
    return replace(answers, choice=torch.from_numpy(plain))


def _scored(answers: LabelPredictions, metric: str) -> tuple[int, Score]:
    """How many rows there are, and the metric of some of them."""
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
        with warnings.catch_warnings():  # a sample of equal values has no correlation, which is NaN
            warnings.simplefilter("ignore", DegenerateDataWarning)
            return np.asarray(pearsonr(*pairs, axis=-1)[0])

    return score


def _divided(above: Tally, below: Tally, chosen: Int[np.ndarray, "*samples drawn"]) -> Float[np.ndarray, "*samples"]:
    sums = [np.asarray(each[chosen].sum(-1)) for each in (above, below)]
    return np.divide(*sums, out=np.zeros(sums[0].shape), where=sums[1] != 0)


def _one_after_the_other(first: LabelPredictions, second: LabelPredictions) -> LabelPredictions:
    """All rows of one, then all of the other."""
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
