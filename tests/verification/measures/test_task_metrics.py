import math

import pytest
import torch
from scipy import stats
from sklearn import metrics

from causalkd.data.batch import Batch, pad, pad_labels
from causalkd.data.token_mask import targets
from causalkd.losses.task import task_loss
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.predictions import spans
from causalkd.verification.measures.task_metrics import (
    METRICS,
    LabelPredictions,
    choices,
    evaluate,
    predict,
    right_rows,
)
from tests.held_out import examples, teacher_and_student
from tests.tiny import PAD, tiny


def _batches(task, n=20, size=8):
    rows = examples(task, n)
    parts = [rows[start : start + size] for start in range(0, n, size)]
    return [Batch(pad(part, PAD), pad_labels(part)) for part in parts]


def _score(name, choice, gold, row=None, labels=()):
    row = torch.arange(len(gold)) if row is None else torch.tensor(row)
    return METRICS[name][1](LabelPredictions(row, torch.tensor(choice), torch.tensor(gold), None, labels))


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("classification", "accuracy"),
        ("regression", "pearson"),
        ("token_classification", "entity_f1"),
        ("question_answering", "answer_f1"),
        ("masked_lm", "perplexity"),
    ],
)
def test_a_model_agrees_with_itself_and_batches_do_not_matter(task, metric):
    teacher, student = teacher_and_student("bert", task)
    if task == "token_classification":
        for hooked in (teacher, student):
            hooked.model.config.id2label = {0: "O", 1: "B-a", 2: "I-a"}
    found = evaluate(student, _batches(task), metric, choices(teacher, _batches(task)))
    assert found.rows == 20 and found.task_metric is not None and 0 <= found.agreement < 1
    small = evaluate(student, _batches(task, size=3), metric, choices(teacher, _batches(task, size=3)))
    assert small.task_metric == pytest.approx(found.task_metric, rel=1e-5)
    assert small.agreement == found.agreement
    assert evaluate(student, _batches(task), metric, choices(student, _batches(task))).agreement == 1.0
    assert evaluate(student, _batches(task), metric).agreement is None


def test_accuracy_by_hand():
    student = teacher_and_student()[1]
    batches = _batches("classification")
    with torch.no_grad():
        right = [student.run(batch.inputs).logits.argmax(-1) == batch.labels for batch in batches]
    assert evaluate(student, batches, "accuracy").task_metric == pytest.approx(float(torch.cat(right).double().mean()))


@pytest.mark.parametrize(("architecture", "task"), [("bert", "masked_lm"), ("gpt2", "causal_lm")])
def test_perplexity_is_the_exponentiated_task_loss(architecture, task):
    student = teacher_and_student(architecture, task)[1]
    (batch,) = _batches(task, n=8)
    with torch.no_grad():
        loss = task_loss(task, student.run(batch.inputs).logits, targets(task, batch.labels))
    assert evaluate(student, [batch], "perplexity").task_metric == pytest.approx(math.exp(loss), rel=1e-4)


def test_metrics_agree_with_scikit_learn_and_scipy():
    choice, gold = [0, 1, 1, 0, 1, 1], [0, 1, 0, 0, 1, 0]
    assert _score("matthews_correlation", choice, gold) == pytest.approx(metrics.matthews_corrcoef(gold, choice))
    assert _score("f1", choice, gold) == pytest.approx(metrics.f1_score(gold, choice))
    found, true = [0.1, 2.0, 1.5, 4.0], [0.0, 1.0, 3.0, 2.5]
    assert _score("pearson", found, true) == pytest.approx(stats.pearsonr(found, true)[0])
    assert _score("spearman", found, true) == pytest.approx(stats.spearmanr(found, true)[0])


def test_a_constant_has_no_correlation():
    assert _score("spearman", [1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
    assert _score("matthews_correlation", [1, 1, 1], [1, 1, 1]) is None
    assert _score("matthews_correlation", [1, 1, 1], [1, 0, 1]) == 0.0


def test_entities_count_whole():
    labels = ("O", "B-a", "I-a")
    gold, rows = [1, 2, 0, 1, 2, 2], [0, 0, 0, 1, 1, 1]
    assert _score("entity_f1", gold, gold, rows, labels) == 1.0
    assert _score("entity_f1", [1, 2, 0, 1, 2, 0], gold, rows, labels) == 0.5  # the second entity is cut short
    assert _score("entity_f1", [0] * 6, gold, rows, labels) == 0.0


def test_answers_share_tokens():
    span = 1 << 24
    choice = [2 * span + 4, 0 * span + 1, 5 * span + 5]
    gold = [[3, 4], [0, 1], [7, 8]]
    assert _score("exact_match", choice, gold) == pytest.approx(1 / 3)
    assert _score("answer_f1", choice, gold) == pytest.approx((2 * 2 / 5 + 1 + 0) / 3)


def test_what_does_not_fit_is_refused():
    student = teacher_and_student()[1]
    with pytest.raises(ValueError, match=r"metric 'acuracy' does not exist; did you mean accuracy\?"):
        evaluate(student, _batches("classification"), "acuracy")
    with pytest.raises(ValueError, match="'perplexity' is for masked_lm or causal_lm, and the model's task is class"):
        evaluate(student, _batches("classification"), "perplexity")
    with pytest.raises(ValueError, match="no labels"):
        evaluate(student, [Batch(_batches("classification")[0].inputs)], "accuracy")
    with pytest.raises(ValueError, match="no batch was given"):
        evaluate(student, [], "accuracy")


def test_dropout_is_off_while_evaluating_and_back_on_after():
    student = HookedModel(tiny("bert", "classification", dropout=0.5), task="classification", role="student")
    student.model.train()
    batches = _batches("classification")
    first, second = (evaluate(student, batches, "accuracy", choices(student, batches)) for _ in range(2))
    assert first == second and first.agreement == 1.0
    assert student.model.training


@pytest.mark.parametrize("task", ["classification", "token_classification", "question_answering"])
def test_a_row_is_right_if_every_prediction_of_it_is(task):
    model, _ = teacher_and_student("bert", task)
    batches = _batches(task)
    own = []
    for batch in batches:
        found = predict(model, batch)
        labels = spans(found.choice) if task == "question_answering" else found.choice
        if task == "token_classification":
            filled = torch.full_like(batch.labels, -100)
            filled[batch.labels != -100] = labels
            labels = filled
            labels[0, 1] = (labels[0, 1] + 1) % 3
        else:
            labels = labels.clone()
            labels[0] = (labels[0] + 1) % 3
        own.append(Batch(batch.inputs, labels))
    found = right_rows(model, own)
    assert [int(n) for n in (~found).nonzero()[:, 0]] == [0, 8, 16] and len(found) == 20
