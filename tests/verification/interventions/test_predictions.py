import pytest
import torch
from scipy.stats import entropy

from causalkd.data.batch import Batch
from causalkd.task_types import TASK_TYPES
from causalkd.verification.interventions.predictions import (
    counted_logits,
    counted_positions,
    divergence,
    is_defined,
    label_sets,
    logits_wanted,
    majority,
    predictions,
    same,
    spans,
)

MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])


def _batch(labels=None):
    return Batch({"input_ids": torch.zeros(2, 4, dtype=torch.long), "attention_mask": MASK}, labels)


def _read(task, logits, counted=None):
    counted = MASK.bool() if counted is None else counted
    wanted = logits_wanted(task, counted)
    logits = logits if wanted is None else logits.flatten(0, 1)[wanted]
    return predictions(task, counted_logits(task, logits, counted), counted)


def test_token_tasks_count_labels_where_there_are_any_else_real_tokens():
    labels = torch.tensor([[5, -100, 5, 5], [-100, 5, -100, 5]])
    assert counted_positions("masked_lm", _batch()).equal(MASK.bool())
    wanted = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 1]]).bool()
    assert counted_positions("token_classification", _batch(labels)).equal(wanted)


def test_a_causal_lm_counts_the_position_before_its_label():
    labels = torch.tensor([[7, 7, 7, -100], [-100, 7, -100, 7]])
    wanted = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0]]).bool()
    assert counted_positions("causal_lm", _batch(labels)).equal(wanted)


def test_items_know_their_row():
    logits = torch.arange(2 * 4 * 3.0).view(2, 4, 3)
    read = _read("masked_lm", logits, torch.tensor([[0, 1, 0, 0], [1, 0, 1, 0]]).bool())
    assert read.row.tolist() == [0, 1, 1]
    assert read.choice.tolist() == [2, 2, 2]
    assert _read("classification", logits[:, 0]).row.tolist() == [0, 1]


def test_divergence_is_scipys_relative_entropy():
    given, other = torch.randn(2, 5, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    found = divergence(_read("classification", given), _read("classification", other))
    expected = entropy(given.softmax(-1).numpy(), other.softmax(-1).numpy(), axis=1)
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-12)
    assert divergence(_read("classification", given), _read("classification", given)).tolist() == [0, 0]


def test_a_span_is_the_likeliest_that_does_not_run_backwards():
    logits = torch.zeros(2, 4, 2)
    logits[0, 2, 0] = 3.0  # starts at 2
    logits[0, 0, 1] = 2.0  # ends at 0, which is earlier: 2 to 2 is likelier than 0 to 0
    logits[1, 1, 0] = logits[1, 3, 1] = 4.0
    read = _read("question_answering", logits)
    assert spans(read.choice).tolist() == [[2, 2], [1, 3]]


def test_a_span_never_holds_padding_and_its_divergence_ignores_it():
    logits = torch.randn(2, 4, 2)
    loud = logits.clone()
    loud[0, 3] = 50.0  # padding of row 0
    quiet, read = _read("question_answering", logits), _read("question_answering", loud)
    assert read.choice.equal(quiet.choice)
    assert divergence(quiet, read).tolist() == [0, 0]
    other = _read("question_answering", torch.randn(2, 4, 2))
    expected = sum(
        entropy(logits[0, :3, end].softmax(-1).numpy(), other.log_probabilities[0, end, :3].exp().numpy())
        for end in (0, 1)
    )
    assert float(divergence(quiet, other)[0]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("starts", "ends", "expected"),
    [
        ({1: 9.0, 10: 3.0}, {40: 2.0}, [10, 10]),  # not from the question into the context, nor 31 tokens long
        ({0: 4.0, 10: 3.0}, {39: 2.0}, [10, 39]),  # 30 tokens long; "no answer" starts better and ends worse
        ({0: 5.0, 10: 3.0}, {0: 1.0, 39: 2.0}, [0, 0]),
        ({0: 5.0, 10: 3.0}, {0: -9.0, 39: 2.0, 40: 9.0}, [11, 40]),
    ],
)
def test_a_span_lies_where_an_answer_may_and_is_no_longer_than_answers_are(starts, ends, expected):
    logits = torch.zeros(1, 60, 2)
    for end, given in enumerate((starts, ends)):
        for position, value in given.items():
            logits[0, position, end] = value
    answerable = (torch.arange(60) >= 5) | (torch.arange(60) == 0)  # the context, and "there is no answer"
    batch = Batch({"attention_mask": torch.ones(1, 60, dtype=torch.long)}, answerable=answerable[None])
    counted = counted_positions("question_answering", batch)
    found = _read("question_answering", logits, counted)
    assert spans(found.choice).tolist() == [expected]
    assert found.log_probabilities[0].exp().sum(-1).tolist() == pytest.approx([1, 1])
    assert float(found.log_probabilities[0, :, 1:5].exp().max()) == 0


def test_numbers_are_the_same_within_half_a_unit():
    first, second = _read("regression", torch.tensor([[1.0], [2.0]])), _read("regression", torch.tensor([[1.5], [2.6]]))
    assert same(first.choice, second.choice).tolist() == [True, False]
    assert divergence(first, second).tolist() == pytest.approx([0.125, 0.18])


def test_commonest_is_the_mode():
    assert int(majority(torch.tensor([4, 2, 4, 9]))) == 4


def test_numbers_within_the_tolerance_are_one_prediction():
    first, second = torch.tensor([0.0, 0.0, 0.0]), torch.tensor([0.1, 0.4, 0.6])
    assert same(first, second).tolist() == [True, True, False]
    assert same(first, second, 0.2).tolist() == [True, False, False]
    assert float(majority(torch.tensor([0.0, 0.05, 0.3, 0.9, 0.95, 1.0]), 0.06)) == pytest.approx(0.95)


@pytest.mark.parametrize("size", [1, 2, 40])
def test_of_numbers_no_constant_is_right_more_often(size):
    """The median is not: of numbers at both ends of a scale it is near none."""
    assert float(majority(torch.tensor([0.0, 0.2, 2.5, 4.9, 5.0, 5.1]))) == pytest.approx(5.0)
    numbers = torch.randn(size, generator=torch.Generator().manual_seed(size)) * 2
    right = int(same(numbers, majority(numbers)).sum())
    tried = torch.linspace(-8, 8, 4001)
    assert right == max(int(same(numbers, torch.full_like(numbers, guess)).sum()) for guess in tried.tolist())


def test_half_precision_is_read_in_float32():
    assert _read("classification", torch.randn(2, 3).bfloat16()).log_probabilities.dtype == torch.float32


def test_a_set_of_labels_is_one_prediction_and_its_labels_diverge_one_by_one():
    logits = torch.tensor([[1.0, -2.0, 0.5], [-1.0, -2.0, 3.0]])
    read = _read("multi_label", logits)
    assert read.choice.tolist() == [0b101, 0b100] and read.row.tolist() == [0, 1]
    other = _read("multi_label", logits + 0.3)
    assert other.choice.tolist() == read.choice.tolist()
    p, q = logits.sigmoid().numpy(), (logits + 0.3).sigmoid().numpy()
    expected = [sum(entropy([a, 1 - a], [b, 1 - b]) for a, b in zip(*rows, strict=True)) for rows in zip(p, q)]  # noqa: B905
    assert divergence(read, other).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("labels", [63, 64, 65, 100, 1000])
def test_sets_that_differ_in_one_label_of_many_are_different_predictions(labels):
    """Each set of one label, each pair of neighbours, and the empty set: as many codes, none of them negative."""
    alone = torch.eye(labels, dtype=torch.bool)
    tried = torch.cat([alone, alone[1:] | alone[:-1], alone[:1] & False])
    codes = label_sets(tried)
    assert len(codes.unique()) == len(tried) and int(codes.min()) == 0
    assert not same(*(_read("multi_label", logits).choice for logits in (-torch.ones(1, labels), 2.0 * alone[-1:] - 1)))


@pytest.mark.parametrize("task", TASK_TYPES)
def test_what_is_made_from_nan_is_no_prediction_and_the_same_as_nothing(task):
    shape = {"multi_label": (2, 70), "classification": (2, 5), "regression": (2, 1), "question_answering": (2, 4, 2)}
    logits = torch.randn(shape.get(task, (2, 4, 5)))
    whole, spoilt = _read(task, logits), logits.clone()
    spoilt[1, ..., 0] = torch.nan
    broken = _read(task, spoilt)
    assert same(whole.choice, whole.choice).all()
    known = is_defined(broken.choice)
    assert known.equal(broken.row == 0) and known.equal(same(broken.choice, broken.choice))
    assert known.equal(same(broken.choice, whole.choice)) and known.equal(same(whole.choice, broken.choice))
    lost = broken.choice[~known]
    guess = majority(torch.cat([lost, lost, whole.choice[:1]]))
    assert bool(same(guess[None], whole.choice[:1])) and not same(lost, majority(lost)).any()
