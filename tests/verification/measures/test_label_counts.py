"""Metrics over classes of many samples are scikit-learn's of each sample."""

import numpy as np
import pytest
import torch
from sklearn import metrics

from causalkd.verification.measures.label_counts import label_counts, macro_f1, matthews
from causalkd.verification.measures.metrics import METRICS, LabelPredictions


def _answers(random: np.random.Generator, *shape: int, classes: int) -> LabelPredictions:
    """Predictions that are right about half of the time; the last classes are rare."""
    gold = random.binomial(classes - 1, 0.2, shape)
    choice = np.where(random.random(shape) < 0.5, gold, random.binomial(classes - 1, 0.2, shape))
    return LabelPredictions(torch.arange(shape[0]), torch.tensor(choice), torch.tensor(gold), None, ())


def test_a_row_counts_as_often_as_it_was_drawn() -> None:
    answers = LabelPredictions(torch.arange(3), torch.tensor([0, 2, 2]), torch.tensor([0, 0, 2]), None, ())
    counts = label_counts(answers, np.array([[0, 1, 2], [1, 1, 1]]))
    assert [each.tolist() for each in counts] == [[[1, 1], [0, 0]], [[1, 2], [0, 3]], [[2, 1], [3, 0]]]


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("rows", [2, 5, 40])
def test_macro_f1_and_matthews_of_classes(classes: int, rows: int) -> None:
    random = np.random.default_rng(classes * rows)
    answers = _answers(random, rows, classes=classes)
    chosen = random.integers(0, rows, (4, 25, rows))
    found = macro_f1(answers, chosen), matthews(answers, chosen)
    assert found[0].shape == found[1].shape == (4, 25)
    for at in np.ndindex(4, 25):
        gold, choice = (values.numpy()[chosen[at]] for values in (answers.gold, answers.choice))
        f1 = metrics.f1_score(gold, choice, average="macro", zero_division=0.0)
        assert found[0][at] == pytest.approx(f1, abs=1e-14)
        if len({*gold, *choice}) == 1:
            assert np.isnan(found[1][at])
        else:
            assert found[1][at] == pytest.approx(metrics.matthews_corrcoef(gold, choice), abs=1e-14)


@pytest.mark.parametrize("rows", [2, 30])
def test_macro_f1_of_several_labels_a_row(rows: int) -> None:
    random = np.random.default_rng(rows)
    answers = _answers(random, rows, 4, classes=2)
    chosen = random.integers(0, rows, (50, rows))
    for sample, found in zip(chosen, macro_f1(answers, chosen), strict=True):
        gold, choice = (values.numpy()[sample] for values in (answers.gold, answers.choice))
        assert found == pytest.approx(metrics.f1_score(gold, choice, average="macro", zero_division=0.0), abs=1e-14)


@pytest.mark.parametrize("metric, sampled", [("macro_f1", macro_f1), ("matthews_correlation", matthews)])
def test_all_rows_once_give_the_metric(metric: str, sampled) -> None:
    answers = _answers(np.random.default_rng(0), 60, classes=3)
    assert sampled(answers, np.arange(60)) == pytest.approx(METRICS[metric][1](answers), abs=1e-14)
