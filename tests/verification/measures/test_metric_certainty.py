"""Intervals and paired tests of task metrics: sums by row are the metric, intervals hold it, tests have their size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binom, binomtest, norm

from causalkd.verification.measures.metric_certainty import metric_difference, metric_interval, task_certainty
from causalkd.verification.measures.metrics import METRICS, LabelPredictions
from causalkd.verification.measures.squad import QuestionAnswer
from causalkd.verification.measures.task_metrics import Behaviour

SAMPLES = 200
TAGS = ("O", "B-a", "I-a", "B-b", "I-b")


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("causalkd.verification.measures.metric_certainty.RESAMPLES", SAMPLES)


def _classes(choice, gold) -> LabelPredictions:
    return LabelPredictions(torch.arange(len(gold)), torch.tensor(choice), torch.tensor(gold), None, ("no", "yes"))


def drawn(random, metric: str, rows: int = 60) -> LabelPredictions:
    """Predictions that are right about two times in three."""
    if metric.startswith("entity"):
        gold = [[TAGS[n] for n in random.integers(0, 5, 6)] for _ in range(rows)]
        found = [[tag if random.random() < 0.7 else "O" for tag in tags] for tags in gold]
        return LabelPredictions(
            *torch.zeros(3, 1, dtype=torch.long), None, (), tags=tuple(zip(gold, found, strict=True))
        )
    if metric in ("answer_f1", "exact_match"):
        texts = [("a big cat" if random.random() < 0.6 else "dog cat", ("big cat", "fox")) for _ in range(rows)]
        answered = tuple(QuestionAnswer(n, text, accepted, 0.0) for n, (text, accepted) in enumerate(texts))
        return LabelPredictions(*torch.zeros(3, 1, dtype=torch.long), None, (), answered=answered)
    if metric == "perplexity":
        row = torch.from_numpy(np.sort(random.integers(0, rows, 4 * rows)))
        nats = torch.from_numpy(random.exponential(2.0, 4 * rows))
        return LabelPredictions(row, torch.zeros_like(row), torch.zeros_like(row), -nats, ())
    if metric in ("pearson", "spearman"):
        gold = random.normal(size=rows)
        return LabelPredictions(
            torch.arange(rows), torch.tensor(gold + random.normal(size=rows)), torch.tensor(gold), None, ()
        )
    shape = (rows, 3) if metric in ("micro_f1", "label_accuracy") else (rows,)
    gold = random.integers(0, 2, shape)
    return _classes(np.where(random.random(shape) < 0.7, gold, 1 - gold).tolist(), gold.tolist())


def _answered(metric: str, right: list[bool]) -> LabelPredictions:
    """One prediction a row, of two classes that are equally frequent, or of a class that every row has."""
    if metric.startswith("entity"):
        tags = tuple((["B-a"], ["B-a" if each else "B-b"]) for each in right)
        return LabelPredictions(*torch.zeros(3, 1, dtype=torch.long), None, (), tags=tags)
    if metric == "answer_f1":
        answered = tuple(QuestionAnswer(n, "fox" if each else "dog", ("fox",), 0.0) for n, each in enumerate(right))
        return LabelPredictions(*torch.zeros(3, 1, dtype=torch.long), None, (), answered=answered)
    both = metric in ("macro_f1", "matthews_correlation")
    gold = np.array([row % 2 if both else 1 for row in range(len(right))])
    choice = np.where(right, gold, 1 - gold)
    if metric == "micro_f1":  # a wrong row has the other label, so that as many are predicted
        gold, choice = np.stack([gold, 1 - gold], 1), np.stack([choice, 1 - choice], 1)
    return _classes(choice.tolist(), gold.tolist())


@pytest.mark.parametrize("metric", METRICS)
def test_an_interval_holds_the_metric_and_is_narrower_with_more_rows(metric: str) -> None:
    random = np.random.default_rng(0)
    small, large = (drawn(random, metric, rows) for rows in (40, 400))
    found = {}
    for answers in (small, large):
        interval, value = metric_interval(answers, metric), METRICS[metric][1](answers)
        assert interval is not None and value is not None and interval.low < value < interval.high
        found[answers] = interval.high - interval.low
    assert found[large] < 0.6 * found[small]
    assert metric_interval(large, metric) == metric_interval(large, metric), "drawn by a seed"


@pytest.mark.parametrize("metric", ["f1", "macro_f1", "micro_f1", "matthews_correlation", "entity_f1", "answer_f1"])
def test_rows_that_are_all_right_or_all_wrong_leave_no_metric_certain(metric: str) -> None:
    """Wilson's limit of 40 right rows is 40 / (40 + z²); few wrong rows cannot look more certain."""
    limit = 40 / (40 + norm.ppf(0.975) ** 2)
    right, wrong, nearly = (_answered(metric, [False] * number + [True] * (40 - number)) for number in (0, 40, 1))
    found, none, close = (metric_interval(each, metric) for each in (right, wrong, nearly))
    assert found is not None and none is not None and close is not None
    worst = -1 if metric == "matthews_correlation" else 0
    assert (found.low, found.high) == (pytest.approx(worst + (1 - worst) * limit), 1)
    assert (none.low, none.high) == (worst, pytest.approx(worst + (1 - worst) * (1 - limit)))
    assert close.low <= found.low, "one wrong row is not more certain than none"


def test_a_value_that_no_sample_changes_is_not_certain() -> None:
    """Whatever rows are drawn, a model that predicts one class has no correlation."""
    rows, gold = torch.arange(100), torch.tensor([1] * 3 + [0] * 97)
    answers = LabelPredictions(rows, torch.zeros(100, dtype=torch.long), gold, None, ("no", "yes"))
    assert METRICS["matthews_correlation"][1](answers) == 0
    assert metric_interval(answers, "matthews_correlation") is None
    found = metric_interval(answers, "f1")
    assert found is not None and found.low == 0 < found.high
    assert metric_interval(replace(answers, gold=torch.zeros_like(gold)), "f1") is None


def test_the_interval_of_f1_is_of_the_class_that_f1_is_of() -> None:
    """A checkpoint may have the positive class first."""
    random = np.random.default_rng(3)
    gold = (random.random(80) < 0.8).astype(int)
    choice = np.where(random.random(80) < 0.8, gold, 1 - gold)
    first = replace(_classes((1 - choice).tolist(), (1 - gold).tolist()), positive=0)
    second, other = _classes(choice.tolist(), gold.tolist()), _classes(gold.tolist(), gold.tolist())
    assert METRICS["f1"][1](first) == METRICS["f1"][1](second)
    assert metric_interval(first, "f1") == metric_interval(second, "f1")
    reference = replace(_classes((1 - gold).tolist(), (1 - gold).tolist()), positive=0)
    assert metric_difference(first, reference, "f1") == metric_difference(second, other, "f1")


def test_a_bootstrap_interval_covers_the_truth() -> None:
    """The correlation of the population is 1/√2."""
    random, held = np.random.default_rng(2), 0
    for _ in range(40):
        interval = metric_interval(drawn(random, "pearson", 100), "pearson")
        assert interval is not None
        held += interval.low <= 2**-0.5 <= interval.high
    assert held >= 33, "binomial: 40 times .95 is 38, and less than 33 has probability .003"


def test_accuracies_are_compared_by_mcnemars_exact_test() -> None:
    gold = [1] * 100
    own, other = [1] * 90 + [0] * 10, [1] * 70 + [0] * 25 + [1] * 5
    found = metric_difference(_classes(own, gold), _classes(other, gold), "accuracy")
    assert found is not None and found.difference == pytest.approx(0.15) and found.rows == 100
    only_own, only_other = 20, 5
    exact = binomtest(only_own, only_own + only_other).pvalue
    observed = 2 * binom.pmf(only_own, only_own + only_other, 0.5)
    assert found.p_value == pytest.approx(exact - observed / 2), "the observed outcome counts half"
    assert found.low < 0.15 < found.high and found.low > 0


@pytest.mark.parametrize("metric", ["f1", "spearman", "entity_f1", "matthews_correlation"])
def test_a_model_does_not_differ_from_itself_and_differs_from_a_worse_one(metric: str) -> None:
    answers = drawn(np.random.default_rng(3), metric, 200)
    same = metric_difference(answers, answers, metric)
    assert same is not None and (same.difference, same.p_value) == (0, 1)
    if metric != "spearman":  # the like predictions of 200 rows do not show that all are alike
        assert -0.05 < same.low < 0 < same.high < 0.05
    tags = tuple((gold, ["O"] * 6 if n % 2 else found) for n, (gold, found) in enumerate(answers.tags))
    worse = LabelPredictions(answers.row, answers.choice.flip(0), answers.gold, None, answers.labels, tags=tags)
    found = metric_difference(answers, worse, metric)
    assert found is not None and found.difference > 0 and found.low > 0 and found.p_value < 0.05
    reverse = metric_difference(worse, answers, metric)
    assert reverse is not None and reverse.difference == pytest.approx(-found.difference)


def test_models_that_differ_by_chance_alone_are_rarely_told_apart() -> None:
    random, small = np.random.default_rng(4), 0
    for _ in range(12):
        gold = random.normal(size=50)
        noisy = [torch.tensor(gold + random.normal(size=50)) for _ in range(2)]
        own, other = (LabelPredictions(torch.arange(50), each, torch.tensor(gold), None, ()) for each in noisy)
        found = metric_difference(own, other, "pearson")
        assert found is not None
        small += found.p_value < 0.05
    assert small <= 4, "binomial: 12 times .05 is 0.6, and more than 4 has probability .0002"


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_the_unit_of_a_models_predictions_does_not_change_how_correlations_are_compared(metric: str) -> None:
    random = np.random.default_rng(3)
    own = drawn(random, metric)
    worse = replace(own, choice=own.choice + torch.from_numpy(random.normal(0, 2, 60)))
    narrow = replace(worse, choice=0.1 * worse.choice + 4)
    plain, other = metric_difference(own, worse, metric), metric_difference(own, narrow, metric)
    assert plain is not None and other is not None
    assert plain.p_value < 0.05
    assert other.p_value == pytest.approx(plain.p_value)


def test_what_cannot_be_compared() -> None:
    constant = _classes([1, 1, 1], [1, 1, 1])
    assert metric_interval(constant, "matthews_correlation") is None
    assert metric_difference(constant, constant, "matthews_correlation") is None
    assert metric_interval(_classes([1], [1]), "accuracy") is None
    with pytest.raises(ValueError, match="3 rows cannot be compared with 2; measure both models on the same rows"):
        metric_difference(constant, _classes([1, 0], [1, 1]), "accuracy")


def test_every_model_has_an_interval_and_every_student_its_references() -> None:
    random = np.random.default_rng(5)
    found = {name: drawn(random, "accuracy", 80) for name in ("teacher", "kd", "diito")}
    behaviours = {
        name: Behaviour(METRICS["accuracy"][1](answers), None, 80, {}, answers) for name, answers in found.items()
    }
    students = {(name, seed): behaviours[name] for name in ("kd", "diito") for seed in (0, 1)}
    certain = task_certainty(behaviours["teacher"], students, "accuracy", {"kd": (), "diito": ("kd",)})
    rows = [(row.model, row.seed, row.rows) for row in certain["task_scores"]]
    assert rows == [("teacher", None, 80), *((*each, 80) for each in students)] and all(
        r.low < r.value < r.high for r in certain["task_scores"]
    )
    assert [(r.student, r.seed, r.reference, r.rows) for r in certain["task_differences"]] == [
        ("diito", 0, "kd", 80), ("diito", 1, "kd", 80),
    ]  # fmt: skip
    expected = behaviours["diito"].task_metric - behaviours["kd"].task_metric
    assert certain["task_differences"][0].difference == pytest.approx(expected)
