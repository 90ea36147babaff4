"""The labelled predictions of a step, and the teacher's uncertainty about each."""

from dataclasses import replace

import pytest
import torch

from causalkd.models.hooks.forward import ForwardOutput
from causalkd.objectives.atkd import ATKD
from causalkd.objectives.labelled import gold_of, of_sequences
from causalkd.task_types import Task
from tests.objectives.steps import batch_of, models, step_of

HEADS: list[tuple[Task, str, str]] = [
    ("causal_lm", "gpt2", "opt"),
    ("masked_lm", "bert", "distilbert"),
    ("classification", "bert", "distilbert"),
]


@pytest.mark.parametrize(("task", "of_teacher", "of_student"), HEADS)
def test_the_probability_off_the_label(task: Task, of_teacher: str, of_student: str) -> None:
    (teacher, student), batch = models(task, of_teacher, of_student), batch_of(task)
    assert batch.labels is not None
    gold = gold_of(step_of(ATKD(), teacher, student, batch), "atkd")
    p, labels = teacher.model(**batch.inputs).logits.softmax(-1), batch.labels
    if task == "causal_lm":
        p, labels = p[:, :-1], labels[:, 1:]
    expected = 1 - p[labels >= 0][range((labels >= 0).sum()), labels[labels >= 0]]
    torch.testing.assert_close(gold.teacher_odds(1.0).uncertainty[gold.mask], expected)
    assert gold.label[gold.mask].tolist() == labels[labels >= 0].tolist()


@pytest.mark.parametrize("task", ["regression", "multi_label"])
def test_heads_without_a_gold_label(task: Task) -> None:
    (teacher, student), batch = models(task, "bert", "bert"), batch_of(task)
    with pytest.raises(ValueError, match=f"`atkd` compares the gold label .* and {task} has none"):
        gold_of(step_of(ATKD(), teacher, student, batch), "atkd")


def test_data_without_labels() -> None:
    (teacher, student), batch = models(), replace(batch_of(), labels=None)
    with pytest.raises(ValueError, match="`dkd` needs gold labels and the data have none"):
        gold_of(step_of(ATKD(), teacher, student, batch), "dkd")


def test_items_go_back_to_their_positions() -> None:
    inputs = {"attention_mask": torch.ones(2, 3)}
    everywhere = ForwardOutput(inputs, torch.zeros(2, 3, 5), torch.zeros(2, 3, 1), {})
    some = ForwardOutput(inputs, torch.zeros(2, 5), torch.zeros(2, 3, 1), {}, logits_at=torch.tensor([1, 5]))
    assert of_sequences(everywhere, torch.arange(6.0)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert of_sequences(some, torch.tensor([7.0, 8.0])).tolist() == [[0, 7, 0], [0, 0, 8]]
