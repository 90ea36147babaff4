"""Heads that predict only where an objective looks give it the term and gradients of heads that predict everywhere."""

import pytest
import torch

from causalkd.objectives.atkd import ATKD
from causalkd.objectives.base import Logits, Objective, StepContext
from causalkd.objectives.counterfactual_terms import crossed_batch
from causalkd.objectives.diito import DIITO, DIITOHidden
from causalkd.objectives.hidden_kd import HiddenKD
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from causalkd.task_types import Task
from tests.objectives.steps import aligned, assert_same_term, batch_of, models, step_of

PAIRS: dict[Task, tuple[str, str]] = {
    "masked_lm": ("bert", "distilbert"),
    "causal_lm": ("gpt2", "opt"),
    "token_classification": ("roberta", "llama"),
    "classification": ("bert", "gpt2"),
}


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("task", PAIRS)
def test_every_objective(task: Task, inside: bool) -> None:
    teacher, student = models(task, *PAIRS[task])
    alignment, batch = aligned(teacher, student), batch_of(task, inside)
    objectives: list[Objective] = [
        *(ResponseKD(tokens="all"), ResponseKD(tokens="labelled"), TaskLoss(), HiddenKD(teacher, student)),
        *(DIITO(alignment, teacher, student, tokens=tokens, crossway=True) for tokens in ("all", "labelled")),
        *(DIITOHidden(alignment, teacher, student, crossway=crossway) for crossway in (False, True)),
    ]
    objectives += [ATKD()] if task == "causal_lm" else []
    crossed: list[Logits] = []
    for objective in objectives:
        kept = objective.requirements()
        at = kept.logits_at(task, batch)
        runs = (
            student.run(batch.inputs, kept.student, logits_at=at),
            teacher,
            teacher.run(batch.inputs, kept.teacher, logits_at=at),
        )
        selected = StepContext(student, batch, *runs, logits=kept.logits)
        if at is not None:
            assert len(selected.student_run.logits) == len(at) < batch.counted.numel()
        assert_same_term(student, objective(selected), objective(step_of(objective, teacher, student, batch)))
        for key, made in selected.shared.items():
            if key[0] == "crossed" and at is not None:
                expected = kept.logits_at(task, crossed_batch(batch))
                assert torch.equal(made.student.logits_at, expected) and torch.equal(made.teacher.logits_at, expected)
                crossed.append(kept.logits)
    assert crossed == ([] if task == "classification" else ["all", "labelled", "none"])


def test_an_objective_of_hidden_states_asks_for_no_logits() -> None:
    teacher, student = models()
    at = HiddenKD(teacher, student).requirements().logits_at("masked_lm", batch_of())
    assert at is not None and len(at) == 0
