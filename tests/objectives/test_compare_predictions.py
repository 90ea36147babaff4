"""Comparing predictions: what counts for each head, against loops over what counts."""

from typing import Any

import pytest
import torch
from torch import Tensor

from causalkd.data.batch import IGNORED, Batch
from causalkd.data.token_mask import Tokens, flat_positions
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.objectives.compare_predictions import prediction_distance
from causalkd.task_types import Task
from tests.objectives.steps import batch_of

SHAPES: dict[Task, tuple[int, ...]] = {
    "masked_lm": (4, 10, 7),
    "causal_lm": (4, 10, 7),
    "token_classification": (4, 10, 3),
    "classification": (4, 3),
    "multi_label": (4, 5),
    "regression": (4, 1),
    "question_answering": (4, 10, 2),
}


def _logits(task: Task, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(SHAPES[task], generator=generator, dtype=torch.float64)


def _distance(task: Task, student: Tensor, teacher: Tensor, batch: Batch, *settings: Any) -> Tensor:
    runs = (ForwardOutput(batch.inputs, logits, torch.zeros(4, 10, 1), {}) for logits in (student, teacher))
    return prediction_distance(task, *runs, batch, *settings)


def _kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    s, t = (each.div(temperature).log_softmax(-1) for each in (student, teacher))
    return temperature**2 * (t.exp() * (t - s)).sum()


def _counted(task: Task, batch: Batch, labelled: bool) -> list[tuple[int, int]]:
    """(row, position) of every prediction that counts."""
    assert batch.labels is not None
    places = [(row, position) for row in range(4) for position in range(10) if batch.counted[row, position]]
    if not labelled:
        return places
    if task != "causal_lm":
        return [(row, position) for row, position in places if batch.labels[row, position] != IGNORED]
    return [(r, p) for r, p in places if p < 9 and batch.labels[r, p + 1] != IGNORED]


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("tokens", ["all", "labelled"])
@pytest.mark.parametrize("task", ["masked_lm", "causal_lm", "token_classification"])
def test_one_prediction_a_token(task: Task, tokens: str, temperature: float) -> None:
    student, teacher, batch = _logits(task, 0), _logits(task, 1), batch_of(task)
    places = _counted(task, batch, tokens == "labelled")
    expected = torch.stack([_kl(student[hook_point], teacher[hook_point], temperature) for hook_point in places]).mean()
    mine = _distance(task, student, teacher, batch, temperature, tokens)
    torch.testing.assert_close(mine, expected)


@pytest.mark.parametrize("temperature", [0.25, 2.0])
def test_one_prediction_a_row(temperature: float) -> None:
    student, teacher = _logits("classification", 0), _logits("classification", 1)
    expected = torch.stack([_kl(student[row], teacher[row], temperature) for row in range(4)]).mean()
    mine = _distance("classification", student, teacher, batch_of("classification"), temperature)
    torch.testing.assert_close(mine, expected)


@pytest.mark.parametrize("temperature", [0.25, 2.0])
def test_every_label_of_several_is_a_choice_of_its_own(temperature: float) -> None:
    student, teacher = _logits("multi_label", 0), _logits("multi_label", 1)
    p, q = (logits.div(temperature).sigmoid() for logits in (teacher, student))
    expected = temperature**2 * (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
    mine = _distance("multi_label", student, teacher, batch_of("multi_label"), temperature)
    torch.testing.assert_close(mine, expected)
    shifted = _distance("multi_label", teacher + 3, teacher, batch_of("multi_label"), temperature)
    assert shifted > 0.1, "a softmax over the labels would see no difference"


@pytest.mark.parametrize("temperature", [0.25, 1.0, 2.0])
def test_an_answers_ends_over_real_tokens(temperature: float) -> None:
    student, teacher = _logits("question_answering", 0).requires_grad_(), _logits("question_answering", 1)
    batch = batch_of("question_answering")
    terms = []
    for row, length in enumerate(batch.counted.sum(1).tolist()):
        terms += [_kl(student[row, :length, end], teacher[row, :length, end], temperature) for end in range(2)]
    mine = _distance("question_answering", student, teacher, batch, temperature)
    torch.testing.assert_close(mine, torch.stack(terms).mean())
    (gradient,) = torch.autograd.grad(mine, student)
    assert gradient.isfinite().all() and (gradient[~batch.counted] == 0).all()


def test_a_number_has_no_distribution() -> None:
    student, teacher = _logits("regression", 0), _logits("regression", 1)
    mine = _distance("regression", student, teacher, batch_of("regression"), 2.0)
    torch.testing.assert_close(mine, (student - teacher).square().mean())


@pytest.mark.parametrize("task", list(SHAPES))
def test_zero_at_agreement_and_blind_to_padding(task: Task) -> None:
    student, teacher, batch = _logits(task, 0), _logits(task, 1), batch_of(task)
    assert _distance(task, student, student, batch, 2.0).item() == pytest.approx(0, abs=1e-12)
    if len(SHAPES[task]) < 3:
        return
    other = student.masked_fill(~batch.counted[..., None], 50.0)
    expected = _distance(task, student, teacher, batch, 2.0)
    assert torch.equal(_distance(task, other, teacher, batch, 2.0), expected)


@pytest.mark.parametrize("tokens", ["all", "labelled"])
@pytest.mark.parametrize("task", ["masked_lm", "causal_lm", "token_classification"])
def test_logits_at_more_than_what_counts_change_nothing(task: Task, tokens: Tokens) -> None:
    student, teacher, batch = _logits(task, 0), _logits(task, 1), batch_of(task)
    at = flat_positions(batch.counted)
    runs = [
        ForwardOutput(batch.inputs, each.flatten(0, 1)[at], torch.zeros(4, 10, 1), {}, logits_at=at)
        for each in (student, teacher)
    ]
    mine = prediction_distance(task, *runs, batch, 2.0, tokens)
    torch.testing.assert_close(mine, _distance(task, student, teacher, batch, 2.0, tokens))
