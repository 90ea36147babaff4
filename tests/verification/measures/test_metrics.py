"""Every metric is that of the library or of the official rules, on many random sets of predictions."""

import math

import numpy as np
import pytest
import seqeval.metrics
import torch
from scipy import stats
from sklearn import metrics

from causalkd.verification.measures.metric_certainty import _scored
from causalkd.verification.measures.metrics import METRICS, REPORTED_BESIDE, LabelPredictions, check_metrics
from causalkd.verification.measures.squad import QuestionAnswer
from tests.oracles import squad_rules

SETS = 200
WORDS = ("the", "a", "Cat", "cat,", "dog", "ran", "Paris.", "–", "42", "The")


def _answers(choice, gold, **further):
    return LabelPredictions(torch.arange(len(gold)), torch.tensor(choice), torch.tensor(gold), None, (), **further)


def _score(name, choice, gold):
    return METRICS[name][1](_answers(choice, gold))


def test_classes_are_scored_as_scikit_learn_scores_them():
    random = np.random.default_rng(0)
    for _ in range(SETS):
        gold, choice = random.integers(0, 2, (2, random.integers(2, 40))).tolist()
        if len({*gold, *choice}) > 1:
            assert _score("matthews_correlation", choice, gold) == metrics.matthews_corrcoef(gold, choice)
        assert _score("f1", choice, gold) == metrics.f1_score(gold, choice, zero_division=0.0)
        gold, choice = random.integers(0, 4, (2, random.integers(2, 40))).tolist()
        assert _score("accuracy", choice, gold) == metrics.accuracy_score(gold, choice)
        assert _score("macro_f1", choice, gold) == metrics.f1_score(gold, choice, average="macro", zero_division=0.0)


def test_several_labels_a_row_are_scored_as_scikit_learn_scores_them():
    random = np.random.default_rng(4)
    for _ in range(SETS):
        gold, choice = random.integers(0, 2, (2, random.integers(2, 40), random.integers(1, 6)))
        found = {name: _score(name, choice.tolist(), gold.tolist()) for name in ("accuracy", "label_accuracy")}
        wide = [np.hstack([side, side]) if side.shape[1] == 1 else side for side in (gold, choice)]
        assert found == {
            "accuracy": metrics.accuracy_score(gold, choice),
            "label_accuracy": pytest.approx(1 - metrics.hamming_loss(gold, choice), abs=1e-15),
        }
        for average in ("micro", "macro"):
            # Of one column scikit-learn takes rows for classes; the averages of two that are alike are those of one.
            expected = metrics.f1_score(*wide, average=average, zero_division=0.0)
            name, answers = f"{average}_f1", _answers(choice.tolist(), gold.tolist())
            assert _score(name, choice.tolist(), gold.tolist()) == expected
            every = np.arange(len(gold))[None]
            assert _scored(answers, name)[1](every) == pytest.approx(expected, abs=1e-15), "as its certainty counts"


def test_numbers_are_scored_as_scipy_scores_them():
    random = np.random.default_rng(1)
    for _ in range(SETS):
        gold, choice = random.normal(size=(2, random.integers(3, 40)))
        gold = np.round(gold, 1)  # so that there are ties
        assert _score("pearson", choice, gold) == stats.pearsonr(gold, choice)[0]
        assert _score("spearman", choice, gold) == stats.spearmanr(gold, choice)[0]


def test_entities_are_scored_as_seqeval_scores_them():
    random, names = np.random.default_rng(2), ("O", "B-a", "I-a", "B-b", "I-b")
    for _ in range(SETS):
        gold, choice = (
            [[names[n] for n in random.integers(0, 5, length)] for length in (3, 1, 7, 5)] for _ in range(2)
        )
        answers = _answers([0], [0], tags=tuple(zip(gold, choice, strict=True)))
        for name in ("f1", "precision", "recall"):
            expected = getattr(seqeval.metrics, f"{name}_score")(gold, choice, zero_division=0)
            assert METRICS[f"entity_{name}"][1](answers) == expected


def test_answers_are_scored_by_the_official_rules():
    random = np.random.default_rng(3)

    def text(low=0):
        return " ".join(random.choice(WORDS, random.integers(low, 5)))

    for _ in range(SETS):
        given = [(text(), [text(1) for _ in range(random.integers(0, 4))]) for _ in range(random.integers(1, 12))]
        answered = tuple(QuestionAnswer(n, found, tuple(gold), 0.0) for n, (found, gold) in enumerate(given))
        exact, shared = squad_rules.scores(dict(enumerate(given)))
        answers = _answers([0], [0], answered=answered)
        assert METRICS["exact_match"][1](answers) == pytest.approx(exact, abs=1e-12)
        assert METRICS["answer_f1"][1](answers) == pytest.approx(shared, abs=1e-12)


def test_a_perplexity_is_infinite_where_no_float_holds_it_and_nan_where_there_is_none():
    def perplexity(nats):
        return METRICS["perplexity"][1](
            LabelPredictions(torch.arange(1), *torch.zeros(2, 1), torch.tensor([-nats]), ())
        )

    assert perplexity(2.0) == pytest.approx(math.exp(2.0)) and perplexity(1000.0) == math.inf
    assert math.isnan(perplexity(math.nan))


def test_a_constant_has_no_correlation():
    assert _score("spearman", [1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
    assert _score("matthews_correlation", [1, 1, 1], [1, 1, 1]) is None
    assert _score("matthews_correlation", [1, 1, 1], [1, 0, 1]) == 0.0


def test_metrics_that_stand_beside_each_other_fit_the_same_tasks():
    for name, others in REPORTED_BESIDE.items():
        assert all(set(METRICS[name][0]) <= set(METRICS[other][0]) for other in others)


def test_entities_need_tags_that_begin_and_end_them() -> None:
    tags = ("O", "B-x", "I-x", "E-x", "S-y", "B", "I")
    check_metrics("token_classification", ("entity_f1", "entity_recall"), tags)
    check_metrics("token_classification", ("accuracy",), ("NOUN", "VERB"))
    with pytest.raises(
        ValueError, match=r"'entity_f1' is for entities, .* there are the tags NOUN, VERB; use accuracy: `m"
    ):
        check_metrics("token_classification", ("entity_f1",), ("O", "NOUN", "VERB"))
