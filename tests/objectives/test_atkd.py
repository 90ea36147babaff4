"""ATKD and DKD as objectives: on the stock models' outputs against the paper's formulas, split in every way."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from causalkd.data.batch import Batch
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.atkd import ATKD, DKD
from causalkd.objectives.base import Requirements, StepContext
from causalkd.task_types import Task
from tests.objectives.steps import assert_same_term, batch_of, models, step_of
from tests.oracles import decoupled as oracle

HEADS: list[tuple[Task, str, str]] = [
    ("causal_lm", "gpt2", "opt"),
    ("masked_lm", "bert", "distilbert"),
    ("classification", "bert", "distilbert"),
]


def _rows(task: Task, teacher: HookedModel, student: HookedModel, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """(student's logits, teacher's, label) of each labelled prediction, from the stock outputs."""
    assert batch.labels is not None
    s, t, labels = *(model.model(**batch.inputs).logits for model in (student, teacher)), batch.labels
    if task == "causal_lm":
        s, t, labels = s[:, :-1], t[:, :-1], labels[:, 1:]
    return s[labels >= 0], t[labels >= 0].detach(), labels[labels >= 0]


@pytest.mark.parametrize(("task", "of_teacher", "of_student"), HEADS)
@pytest.mark.parametrize("reverse", [False, True])
def test_atkd_is_the_papers(task: Task, of_teacher: str, of_student: str, reverse: bool) -> None:
    (teacher, student), batch = models(task, of_teacher, of_student), batch_of(task)
    objective = ATKD(temperature=2.0, easy_weight=0.3, reverse=reverse)
    required = objective.requirements()._replace(refusal=Requirements().refusal, count=None)
    assert required == Requirements(logits="labelled", over_micro_batches=True, two_tokenizers=True)
    s, t, label = _rows(task, teacher, student, batch)
    expected = 4 * oracle.atkd(s / 2, t / 2, label, 0.3, reverse)
    assert_same_term(student, objective(step_of(objective, teacher, student, batch)), expected)


@pytest.mark.parametrize(("task", "of_teacher", "of_student"), HEADS)
def test_dkd_is_the_papers(task: Task, of_teacher: str, of_student: str) -> None:
    (teacher, student), batch = models(task, of_teacher, of_student), batch_of(task)
    objective = DKD(alpha=0.7, beta=3.0)
    terms = oracle.terms(*_rows(task, teacher, student, batch))
    expected = (0.7 * terms.target + 3 * terms.diversity).mean()
    assert_same_term(student, objective(step_of(objective, teacher, student, batch)), expected)


def test_each_sequence_is_split_at_its_own_median() -> None:
    (teacher, student), batch = models("causal_lm", "gpt2", "opt"), batch_of("causal_lm")
    assert batch.labels is not None
    s, t = (model.model(**batch.inputs).logits[:, :-1] for model in (student, teacher))
    easy_terms, hard_terms = [], []
    for row, labels in enumerate(batch.labels[:, 1:]):
        counted = labels >= 0
        terms = oracle.terms(s[row, counted], t[row, counted], labels[counted])
        easy = terms.uncertainty < terms.uncertainty.median()
        easy_terms.append(terms.diversity[easy])
        hard_terms.append((terms.target + terms.diversity)[~easy])
    expected = 0.2 * torch.cat(easy_terms).mean() + 0.8 * torch.cat(hard_terms).mean()
    objective = ATKD(split="sequence")
    assert_same_term(student, objective(step_of(objective, teacher, student, batch)), expected)


def test_a_running_split_is_the_batchs_own_at_first_and_remembered_while_training() -> None:
    (teacher, student), batch = models("causal_lm", "gpt2", "opt"), batch_of("causal_lm")
    running, own = ATKD(split="running"), ATKD()
    student.model.eval()
    evaluated = running(step_of(running, teacher, student, batch))
    assert not any(buffer.any() for buffer in running.buffers())
    student.model.train()
    trained = running(step_of(running, teacher, student, batch))
    torch.testing.assert_close(trained, own(step_of(own, teacher, student, batch)))
    torch.testing.assert_close(trained, evaluated)
    assert any(buffer.any() for buffer in running.buffers())


def test_only_hard_tokens() -> None:
    (teacher, student), batch = models("causal_lm", "gpt2", "opt"), batch_of("causal_lm")
    objective = ATKD(easy_weight=0.0, hard_fraction=1.0)
    terms = oracle.terms(*_rows("causal_lm", teacher, student, batch))
    expected = (terms.target + terms.diversity).mean()
    assert_same_term(student, objective(step_of(objective, teacher, student, batch)), expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"easy_weight": 1.5}, r"easy_weight is 1.5; .* must lie in \[0, 1\]"),
        ({"hard_fraction": 0.0}, r"hard_fraction is 0.0; .* must lie in \(0, 1\]"),
    ],
)
def test_shares_that_are_none(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ATKD(**given)


def test_a_head_that_predicts_once_a_row_has_no_sequences() -> None:
    (teacher, student), batch = models("classification", "bert", "distilbert"), batch_of("classification")
    objective = ATKD(split="sequence")
    with pytest.raises(
        ValueError, match=r"split is 'sequence', but classification predicts once per row.* use 'batch'"
    ):
        objective(step_of(objective, teacher, student, batch))


@pytest.mark.parametrize("objective", [ATKD(), ATKD(split="sequence"), ATKD(split="running"), DKD()])
def test_a_batch_without_a_labelled_token(objective: Any) -> None:
    (teacher, student), batch = models("causal_lm", "gpt2", "opt"), batch_of("causal_lm")
    assert batch.labels is not None
    batch = replace(batch, labels=torch.full_like(batch.labels, -100))
    at = objective.requirements().logits_at("causal_lm", batch)
    runs = [model.run(batch.inputs, logits_at=at) for model in (student, teacher)]
    loss = objective(StepContext(student, batch, runs[0], teacher, runs[1]))
    loss.backward()
    assert loss.item() == 0.0
