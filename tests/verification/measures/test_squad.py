"""Answers over windows: a perfect predictor is right, spans stay inside the context, and "no answer" has its odds."""

import numpy as np
import pytest
import torch

from causalkd.data.batch import Batch, pad, pad_labels
from causalkd.data.pairs.collator import PairingCollator
from causalkd.data.tasks.loading import load_examples
from causalkd.data.tasks.tokenise import answer_examples
from causalkd.models.checkpoints import load_tokenizer
from causalkd.verification.interventions.predictions import counted_logits, counted_positions, predictions, spans
from causalkd.verification.measures.squad import (
    WindowAnswer,
    answer_f1,
    answer_is_exact,
    normalised,
    question_answers,
    window_answers,
)
from tests.data.tiny_tokenizers import ALL, WORDS, bert_like

CONTEXT = " ".join(f"{WORDS} Paris {number} ." for number in range(12))


def _batch(rows, side="right"):
    return Batch(pad(rows, 0, side), pad_labels(rows, side), index=torch.arange(len(rows)))


def _perfect(batch, rows, side="right"):
    """Logits that are highest at the labels, higher where these are an answer."""
    logits = torch.zeros(len(rows), 2, batch.counted.shape[1])
    for row, example in enumerate(rows):
        shift = int(batch.counted[row].long().argmax())
        for end, position in enumerate(example["label"]):
            logits[row, end, shift + position] = 5.0 if example["label"] == (example["null"],) * 2 else 9.0
    return logits


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("length", [40, 128])
def test_a_perfect_predictor_is_always_right(make, side, length):
    starts = list(range(0, len(CONTEXT) - 12, 37))
    starts = [CONTEXT.index(" ", start) + 1 for start in starts]
    answers = [[(start, CONTEXT[start : CONTEXT.index(" ", start + 3)])] for start in starts]
    questions = ["who jumps ?", "where ?"] * len(starts)
    done = answer_examples(questions[: len(starts)], [CONTEXT] * len(starts), answers, make(), length)
    batch = _batch(done.examples, side)
    assert done.lost == done.truncated == 0 and len(done.examples) > 2 * len(starts)
    found = question_answers(
        window_answers(_perfect(batch, done.examples), batch, done.examples),
        {number: [text for _, text in accepted] for number, accepted in enumerate(answers)},
    )
    assert [each.question for each in found] == list(range(len(starts)))
    assert all(answer_is_exact(each.text, each.accepted) and answer_f1(each.text, each.accepted) == 1 for each in found)


def test_a_span_is_the_best_of_all_that_lie_in_the_context_and_are_not_too_long():
    rows = answer_examples(["who ?"] * 3, [WORDS] * 3, [[(0, "the")]] * 3, bert_like(), 30).examples
    batch, generator = _batch(rows), torch.Generator().manual_seed(0)
    for _ in range(20):
        logits = torch.randn(len(rows), 2, batch.counted.shape[1], generator=generator)
        for found, ends, example in zip(window_answers(logits, batch, rows, longest=4), logits, rows, strict=True):
            start, stop = example["segments"]["second"]
            spans = [(a, b) for a in range(start, stop) for b in range(a, min(a + 4, stop))]
            first, last = max(spans, key=lambda span: float(ends[0, span[0]] + ends[1, span[1]]))
            assert found.text == example["text"][example["offsets"][first][0] : example["offsets"][last][1]]
            assert found.score == pytest.approx(float(ends[0, first] + ends[1, last]))
            assert found.null == pytest.approx(float(ends[:, 0].sum()))


def test_no_answer_is_given_only_where_questions_may_lack_one_and_it_is_likelier_by_the_threshold():
    windows = [WindowAnswer(0, 2.0, "cat", 5.0), WindowAnswer(0, 4.0, "dog", 5.5), WindowAnswer(1, 1.0, "fox", 0.5)]
    may, must = {0: [], 1: ["fox"]}, {0: ["dog"], 1: ["fox"]}
    assert [each.text for each in question_answers(windows, may)] == ["", "fox"]
    assert [each.text for each in question_answers(windows, may, threshold=1.0)] == ["dog", "fox"]
    assert [each.text for each in question_answers(windows, must)] == ["dog", "fox"]
    assert [each.text for each in question_answers(windows, must, may_lack=True)] == ["", "fox"]
    assert [each.null_odds for each in question_answers(windows, may)] == [1.0, -0.5]


def test_answers_are_compared_without_case_articles_and_punctuation():
    assert normalised("The  Cat, an a-b!") == "cat ab"
    assert answer_is_exact("the CAT.", ["dog", "cat"]) and not answer_is_exact("cats", ["dog", "cat"])
    assert answer_f1("big cat", ["dog", "the cat"]) == pytest.approx(2 / 3)
    assert answer_is_exact("", []) and not answer_is_exact("cat", [])


def test_random_logits_never_leave_the_context():
    random = np.random.default_rng(0)
    rows = answer_examples(["who jumps over ?"], [CONTEXT], [[(0, CONTEXT[:3])]], bert_like(), 32).examples
    batch = _batch(rows)
    for _ in range(10):
        logits = torch.from_numpy(random.normal(size=(len(rows), 2, batch.counted.shape[1])))
        assert all(found.text and found.text in CONTEXT for found in window_answers(logits, batch, rows))


@pytest.mark.needs_data
@pytest.mark.needs_weights
def test_a_perfect_predictor_is_right_on_real_questions_in_windows_of_128(data_folder):
    """All but one: its accepted answer, `7,000,000 square kilometres (2,70`, ends inside the number 2,700,000."""
    loaded = load_examples("squad", "validation", load_tokenizer("minilm-l6"), None, 128, 512)
    found, accepted = {}, {}
    for example in loaded.examples:
        (first, last), offsets = example["label"], example["offsets"]
        accepted[example["question"]] = example["answers"]
        if example["label"] != (example["null"],) * 2:
            found[example["question"]] = example["text"][offsets[first][0] : offsets[last][1]]
    assert len(accepted) == 1190 and len(loaded.examples) > 2 * len(accepted) and loaded.lost == 0
    wrong = [number for number, texts in accepted.items() if not answer_is_exact(found.get(number, ""), texts)]
    assert [accepted[number] for number in wrong] == [["7,000,000 square kilometres (2,70"]]


@pytest.mark.parametrize("length", [40, 128])
def test_spans_of_interventions_are_those_that_answers_are_scored_by(length):
    """Inside one window both choose the same tokens, unless the likeliest is "there is no answer"."""
    done = answer_examples(["who jumps ?"] * 3, [CONTEXT] * 3, [[(0, CONTEXT[:3])]] * 3, bert_like(), length)
    rows = done.examples
    (batch,) = PairingCollator(rows, {}, 0).in_order(len(rows))
    counted = counted_positions("question_answering", batch)
    for seed in range(5):
        logits = 3 * torch.randn(len(rows), counted.shape[1], 2, generator=torch.Generator().manual_seed(seed))
        ends = counted_logits("question_answering", logits, counted)
        both = spans(predictions("question_answering", ends, counted).choice).tolist()
        answers = window_answers(ends, batch, rows)
        for example, (start, stop), answer in zip(rows, both, answers, strict=True):
            if (start, stop) == (example["null"], example["null"]):
                assert answer.null > answer.score
            else:
                first, last = (example["offsets"][token] for token in (start, stop))
                assert example["text"][first[0] : last[1]].strip() == answer.text and answer.score >= answer.null
