import math
from dataclasses import replace

import pytest
import torch

from causalkd.data.batch import Batch, pad, pad_labels
from causalkd.data.token_mask import targets
from causalkd.losses.task import task_loss
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.predictions import spans
from causalkd.verification.measures.iia import measure
from causalkd.verification.measures.metric_tallies import RATIOS
from causalkd.verification.measures.monitor import LiveAccuracy
from causalkd.verification.measures.task_metrics import answers_of, choices, evaluate, predict, right_rows
from tests.held_out import examples, pairs_of, teacher_and_student
from tests.tiny import PAD, tiny


def _batches(task, n=20, size=8):
    rows = examples(task, n)
    parts = [rows[start : start + size] for start in range(0, n, size)]
    return [Batch(pad(part, PAD), pad_labels(part)) for part in parts]


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("classification", "accuracy"),
        ("multi_label", "micro_f1"),
        ("regression", "pearson"),
        ("token_classification", "entity_f1"),
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


def test_what_does_not_fit_is_refused():
    student = teacher_and_student()[1]
    with pytest.raises(ValueError, match=r"metric 'acuracy' does not exist; did you mean accuracy\?"):
        evaluate(student, _batches("classification"), "acuracy")
    with pytest.raises(ValueError, match="'perplexity' is for masked_lm or causal_lm, and the model's task is class"):
        evaluate(student, _batches("classification"), "perplexity")
    with pytest.raises(ValueError, match="no labels"):
        evaluate(student, [Batch(_batches("classification")[0].inputs)], "accuracy")
    answering = teacher_and_student("bert", "question_answering")[1]
    with pytest.raises(ValueError, match="answers are compared as texts, which batches do not hold; give the examples"):
        evaluate(answering, _batches("question_answering"), "answer_f1")
    with pytest.raises(ValueError, match="no batch was given"):
        evaluate(student, [], "accuracy")


def test_dropout_is_off_while_evaluating_and_back_on_after():
    student = HookedModel(tiny("bert", "classification", dropout=0.5), task="classification", role="student")
    student.model.train()
    batches = _batches("classification")
    first, second = (evaluate(student, batches, "accuracy", choices(student, batches)) for _ in range(2))
    assert first == second and first.agreement == 1.0
    assert student.model.training


@pytest.mark.parametrize("task", ["classification", "multi_label", "token_classification", "question_answering"])
def test_a_row_is_right_if_every_prediction_of_it_is(task):
    model, _ = teacher_and_student("bert", task)
    batches = _batches(task)
    own = []
    for batch in batches:
        found = predict(model, batch)
        labels = spans(found.choice) if task == "question_answering" else found.choice
        if task == "multi_label":
            labels = found.log_probabilities.argmax(-1)
        if task == "token_classification":
            filled = torch.full_like(batch.labels, -100)
            filled[batch.labels != -100] = labels
            labels = filled
            labels[0, 1] = (labels[0, 1] + 1) % 3
        else:
            labels = labels.clone()
            labels[0] = (labels[0] + 1) % (2 if task == "multi_label" else 3)
        own.append(Batch(batch.inputs, labels))
    found = right_rows(model, own)
    assert [int(n) for n in (~found).nonzero()[:, 0]] == [0, 8, 16] and len(found) == 20


class _Tagger(HookedModel):
    """Predicts the tag that stands as its token id."""

    def run(self, inputs, keep=(), forward=None, logits_at=None, *, graph=False):
        logits = torch.nn.functional.one_hot(inputs["input_ids"] % 3, 3).float().flatten(0, 1)
        return ForwardOutput(inputs, logits[logits_at], torch.zeros(1, 1, 1), {}, {}, logits_at)


def test_words_and_entities_that_the_model_does_not_see_are_missed():
    tagger = _Tagger(tiny("bert", "token_classification"), task="token_classification", role="student")
    tagger.model.config.id2label = {0: "O", 1: "B-a", 2: "I-a"}
    # Of the first sentence one entity was cut off, of the second a word in the middle has no token.
    rows = [
        {"input_ids": [0, 1, 2], "label": [0, 1, 2], "tags": [0, 1, 2, 0, 1], "words": [0, 1, 2]},
        {"input_ids": [1, 2], "label": [1, 2], "tags": [1, 2, 2], "words": [0, 2]},
    ]
    batches = [Batch(pad([row], PAD), pad_labels([row]), index=torch.tensor([n])) for n, row in enumerate(rows)]
    found = evaluate(tagger, batches, "entity_f1", examples=rows).metrics
    # One of three is found whole; of the second sentence's two parts neither is the entity.
    assert found == {name: pytest.approx(1 / 3) for name in ("entity_f1", "entity_precision", "entity_recall")}
    assert answers_of(tagger, batches, "entity_f1", rows).tags[1] == (["B-a", "I-a", "I-a"], ["B-a", "O", "I-a"])
    with pytest.raises(ValueError, match="has no `index`, so it is not known which of the examples its rows are"):
        evaluate(tagger, [batches[0], replace(batches[1], index=None)], "entity_f1", examples=rows)
    assert evaluate(tagger, batches, "entity_f1").task_metric == 1.0, "of what the model sees"
    # Of eight words five are seen and right, and one that is not seen is O, as any such word is taken for.
    found = evaluate(tagger, batches, "accuracy", examples=rows)
    answers = answers_of(tagger, batches, "accuracy", rows)
    assert found.task_metric == 6 / 8 and RATIOS["accuracy"].above(answers).tolist() == [4, 2]
    assert RATIOS["accuracy"].below(answers).tolist() == [5, 3]
    assert evaluate(tagger, batches, "accuracy").task_metric == 1.0, "of what the model sees"


def test_tasks_that_are_reported_by_several_metrics_have_them_all():
    student = teacher_and_student("bert", "regression")[1]
    found = evaluate(student, _batches("regression"), "spearman")
    assert set(found.metrics) == {"spearman", "pearson"} and found.task_metric == found.metrics["spearman"]
    assert list(evaluate(teacher_and_student()[1], _batches("classification"), "accuracy").metrics) == ["accuracy"]


def test_several_labels_a_row_are_scored_by_hand():
    student = teacher_and_student("bert", "multi_label")[1]
    batches = _batches("multi_label")
    with torch.no_grad():
        present = torch.cat([student.run(batch.inputs).logits > 0 for batch in batches])
    gold = torch.cat([batch.labels for batch in batches]).bool()
    found = evaluate(student, batches, "micro_f1")
    both = int((present & gold).sum())
    assert found.task_metric == pytest.approx(2 * both / int(present.sum() + gold.sum()))
    assert list(found.metrics) == ["micro_f1", "macro_f1", "accuracy", "label_accuracy"]
    assert found.metrics["accuracy"] == pytest.approx(float((present == gold).all(1).double().mean()))
    answers = answers_of(student, batches, "micro_f1")
    with torch.no_grad():
        logits = torch.cat([student.run(batch.inputs).logits for batch in batches])
    expected = -torch.nn.functional.binary_cross_entropy_with_logits(logits, gold.float(), reduction="none").sum(1)
    torch.testing.assert_close(answers.gold_log_probability, expected)


def test_further_metrics_stand_beside_the_usual_ones_and_must_fit():
    student = teacher_and_student()[1]
    found = evaluate(student, _batches("classification"), "macro_f1", further=("accuracy",))
    assert list(found.metrics) == ["macro_f1", "accuracy"]
    with pytest.raises(ValueError, match="metric 'f1' is for the second of two classes, but there are 3; use macro_f1"):
        evaluate(student, _batches("classification"), "f1")
    with pytest.raises(ValueError) as error:
        evaluate(student, _batches("classification"), "accuracy", further=("spearmann", "pearson"))
    assert str(error.value).splitlines() == [
        "metric 'spearmann' does not exist; did you mean spearman?",
        "metric 'pearson' is for regression, and the model's task is classification",
    ]


def test_numbers_are_one_prediction_within_the_tolerance_everywhere():
    teacher, student = teacher_and_student("bert", "regression")
    alignment, pairs = pairs_of(teacher, student, n=24, batch_size=8)
    told, own = (torch.cat(choices(model, pairs)) for model in (teacher, student))
    spread, shares = float(told.std()), []
    for tolerance in (spread / 100, spread / 4, 100 * spread):
        found = measure(teacher, student, alignment, pairs, tolerance=tolerance)
        score = found.score(1, 1)
        shares.append((score.iia, found.score(1, 1, "majority_class").iia))
        agreed = evaluate(student, pairs, "pearson", choices(teacher, pairs), tolerance=tolerance).agreement
        assert agreed == pytest.approx(float(((told - own).abs() <= tolerance).double().mean()))
        live = LiveAccuracy(teacher, student, alignment, pairs, 1, tolerance)(1)
        declared = found.score(1, 0).iia_effective  # the declared pair
        assert live == ({} if declared is None else {"iia_effective/middle": pytest.approx(declared)})
    assert shares[0][0] <= shares[1][0] < shares[2][0] == shares[2][1] == 1.0 and shares[0][1] < 0.5
    assert score.effective_pairs == 0


@pytest.mark.parametrize("task", ["classification", "multi_label", "regression", "token_classification"])
def test_a_model_that_gives_no_numbers_is_refused(task):
    student = teacher_and_student("bert", task)[1]
    with torch.no_grad():
        student.model.classifier.bias[-1] = torch.nan
    batches = _batches(task)
    metric = "pearson" if task == "regression" else "accuracy"
    for measured in (choices, right_rows, lambda *given: evaluate(*given, metric)):
        with pytest.raises(ValueError, match=r"\d+ of \d+ predictions of HookedModel\(Bert.*student.*not finite"):
            measured(student, batches)


def test_a_student_with_tokens_of_its_own_is_given_these():
    """Whichever of the two readings of a batch it is asked for."""
    student = teacher_and_student("bert", "token_classification")[1]
    read, other = _batches("token_classification")[:2]
    both = replace(read, student=other)
    assert torch.equal(predict(student, both).choice, predict(student, other).choice)
    assert torch.equal(choices(student, [both])[0], predict(student, other).choice)
