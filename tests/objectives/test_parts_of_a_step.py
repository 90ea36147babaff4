"""Micro-batches of other sizes add up to one large batch, also where not every label or position counts."""

import contextlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import MistralConfig, MistralForCausalLM

from causalkd.data.batch import IGNORED, Batch
from causalkd.models.hooks.attention import twice_differentiable
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.adkd import ADKD
from causalkd.objectives.atkd import ATKD, DKD
from causalkd.objectives.base import Objective, StepContext, Weighted
from causalkd.objectives.micro_batches import MicroBatches
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from causalkd.objectives.teacher_outputs import TeacherOutputs
from causalkd.objectives.terms import terms_of
from causalkd.task_types import Task
from tests.objectives.steps import batch_of, gradients, models
from tests.tiny import WIDTH

PARTS = (slice(0, 1), slice(1, 4))


def _part(batch: Batch, rows: slice) -> Batch:
    assert batch.labels is not None
    inputs = {name: tensor[rows] for name, tensor in batch.inputs.items()}
    return Batch(inputs, batch.labels[rows], index=torch.arange(len(batch.counted))[rows])


def _term(
    objective: Objective, teacher: HookedModel, student: HookedModel, batch: Batch, among: MicroBatches | None = None
) -> list[Tensor]:
    kept = objective.requirements()
    at = kept.logits_at(student.task, batch)
    with twice_differentiable(student) if kept.second_order else contextlib.nullcontext():
        run = student.run(batch.inputs, kept.student, logits_at=at)
        taught = TeacherOutputs(teacher, batch, kept.teacher, at, kept.teacher_query)
        step = StepContext(student, batch, run, teacher, taught, micro_batches=among)
        term = terms_of({"one": Weighted(1.0, objective)}, step).loss
        return [term.detach(), *gradients(student, term)]


def _assert_parts_add_up(objective: Objective, teacher: HookedModel, student: HookedModel, batch: Batch) -> None:
    parts = tuple(_part(batch, rows) for rows in PARTS)
    among = MicroBatches(parts, 1, lambda count: count)
    found = [_term(objective, teacher, student, part, among) for part in parts]
    expected = _term(objective, teacher, student, _part(batch, slice(None)))
    for whole, *each in zip(expected, *found, strict=True):
        torch.testing.assert_close(sum(each) / len(PARTS), whole, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("task", "make"),
    [
        ("question_answering", TaskLoss),
        ("question_answering", lambda: ResponseKD(tokens="labelled")),
        ("classification", TaskLoss),
        ("classification", ResponseKD),
        ("classification", DKD),
        ("classification", lambda: ATKD(hard_fraction=1.0, split="running")),
    ],
)
def test_labels_that_do_not_count(task: Task, make: Callable[[], Objective]) -> None:
    teacher, student = models(task)
    batch = batch_of(task)
    assert batch.labels is not None
    batch.labels[2] = IGNORED
    _assert_parts_add_up(make(), teacher, student, batch)


def _sliding(seed: int, layers: int) -> MistralForCausalLM:
    config = MistralConfig(
        vocab_size=97,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MistralForCausalLM(config).double().eval()


def test_the_map_of_a_teacher_with_a_window_is_over_the_positions_that_it_reaches() -> None:
    teacher = HookedModel(_sliding(0, 2), task="causal_lm", role="teacher")
    student = HookedModel(_sliding(1, 1), task="causal_lm", role="student")
    ids = torch.randint(4, 97, (4, 10), generator=torch.Generator().manual_seed(0))
    labels = torch.full_like(ids, IGNORED)
    for row, position in enumerate((9, 2, 6, 4)):
        labels[row, position] = ids[row, position]
    batch = Batch({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, labels)
    _assert_parts_add_up(ADKD(teacher, student, views=2), teacher, student, batch)
