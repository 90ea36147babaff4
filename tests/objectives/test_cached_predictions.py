"""A run made of what was kept is the run: at the predicted positions, with its states, or not at all."""

from dataclasses import replace

import pytest
import torch

from causalkd.alignment.interchange import interchange
from causalkd.data.token_mask import flat_positions
from causalkd.models.hooks.forward import ForwardOutput
from causalkd.objectives.base import StepContext
from causalkd.objectives.cached_predictions import CachedForwards
from causalkd.objectives.response_kd import ResponseKD
from causalkd.objectives.teacher_outputs import TeacherOutputs
from causalkd.task_types import Task
from causalkd.training.teacher_cache import TeacherCache
from tests.objectives.steps import BASE, aligned, batch_of, models

BATCH = batch_of("causal_lm", inside=True)
REAL = flat_positions(BATCH.counted)


def test_predictions_of_tokens_are_kept_in_full_and_only_where_they_were_made() -> None:
    teacher, _ = models("causal_lm", "gpt2", "gpt2")
    memory = TeacherCache(teacher)
    made = TeacherOutputs(teacher, BATCH, logits_at=REAL[::2], memory=memory).run()
    known = CachedForwards(teacher, memory, BATCH, REAL[::2])
    found = known.predictions()
    assert found is not None and torch.equal(found.item_logits, made.item_logits)
    assert known.run(()) is None  # no states were asked for
    assert CachedForwards(teacher, memory, BATCH, REAL).predictions() is None
    assert CachedForwards(teacher, memory, BATCH, None).predictions() is None


@pytest.mark.parametrize("top_k", [None, 5])
def test_predictions_of_fewer_entries_are_others(top_k: int | None) -> None:
    """Students that pad a vocabulary to different sizes can learn from one memory."""
    teacher, _ = models("causal_lm", "gpt2", "gpt2")
    memory = TeacherCache(teacher, top_k=top_k)
    TeacherOutputs(teacher, BATCH, logits_at=REAL, memory=memory).run()
    teacher.entries = 40
    known = CachedForwards(teacher, memory, BATCH, REAL)
    assert known.predictions() is None
    made = TeacherOutputs(teacher, BATCH, logits_at=REAL, memory=memory).run()
    found = known.predictions()
    assert found is not None and found.item_logits.shape == made.item_logits.shape == (len(REAL), 40)


def test_of_the_largest_predictions_each_has_its_own_and_the_others_an_even_share_of_the_rest() -> None:
    teacher, _ = models("causal_lm", "gpt2", "gpt2")
    memory = TeacherCache(teacher, top_k=5)
    exact = TeacherOutputs(teacher, BATCH, logits_at=REAL, memory=memory).run().item_logits.softmax(-1)
    found = CachedForwards(teacher, memory, BATCH, REAL).predictions()
    assert found is not None
    share = found.item_logits.softmax(-1)
    largest = exact.topk(5, dim=-1)
    torch.testing.assert_close(share.gather(-1, largest.indices), largest.values)
    even = (1 - largest.values.sum(-1, keepdim=True)) / (exact.shape[-1] - 5)
    others = torch.ones_like(share).scatter(-1, largest.indices, 0).bool()
    torch.testing.assert_close(share[others], even.expand_as(share)[others])
    whole = TeacherCache(teacher, top_k=exact.shape[-1])
    TeacherOutputs(teacher, BATCH, logits_at=REAL, memory=whole).run()
    found = CachedForwards(teacher, whole, BATCH, REAL).predictions()
    assert found is not None
    torch.testing.assert_close(found.item_logits.softmax(-1), exact)


def test_in_half_precision_the_largest_predictions_keep_their_own_probabilities_too() -> None:
    """And a student of the same precision learns from them."""
    teacher, student = models("causal_lm", "gpt2", "gpt2")
    memory = TeacherCache(teacher, top_k=5)
    for model in (teacher, student):
        model.model.bfloat16()
    exact = TeacherOutputs(teacher, BATCH, logits_at=REAL, memory=memory).run().item_logits.float().softmax(-1)
    remembered = TeacherOutputs(teacher, BATCH, logits_at=REAL, memory=memory)
    share, largest = remembered.predictions().item_logits.softmax(-1), exact.topk(5, dim=-1)
    torch.testing.assert_close(share.gather(-1, largest.indices).float(), largest.values, rtol=1e-5, atol=1e-6)
    run = StepContext(student, BATCH, student.run(BATCH.inputs, logits_at=REAL), teacher, remembered)
    assert ResponseKD()(run).isfinite()


def test_few_choices_are_kept_in_few_bytes() -> None:
    teacher, _ = models("causal_lm", "gpt2", "gpt2")
    sizes = []
    for top_k in (None, 2):
        memory = TeacherCache(teacher, top_k=top_k)
        TeacherOutputs(teacher, BATCH, logits_at=REAL, memory=memory).run()
        sizes.append(memory._size)
    assert sizes[1] < sizes[0] / 4


@pytest.mark.parametrize("padding", ["right", "left"])
def test_an_interchange_resumes_from_remembered_states(padding: str) -> None:
    teacher, student = models("causal_lm", "gpt2", "gpt2")
    batch = BATCH
    if padding == "left":
        batch = replace(batch, inputs={name: tensor.flip(1) for name, tensor in BASE.items()}, positions={})
    (pair,) = aligned(teacher, student).pairs
    hook_points = (pair.teacher[0].hook_point,)
    memory, at = TeacherCache(teacher, states=True), flat_positions(batch.counted)
    made = TeacherOutputs(teacher, batch, hook_points, at, memory=memory).run()
    ran: list[int] = []
    handle = teacher.blocks[0].register_forward_hook(lambda *_: ran.append(1))
    again = TeacherOutputs(teacher, batch, hook_points, at, memory=memory).run()
    handle.remove()
    assert ran == [] and again is not made
    torch.testing.assert_close(again.item_logits, made.item_logits)
    torch.testing.assert_close(again.hidden[batch.counted], made.hidden[batch.counted])
    if padding == "right":
        torch.testing.assert_close(*(_counterfactual(teacher, pair, run, at) for run in (again, made)))


def _counterfactual(teacher, pair, run: ForwardOutput, at) -> torch.Tensor:
    source_activations = run.source_activations(BATCH.source_rows)
    positions = BATCH.positions["first"]
    return interchange(teacher, pair.teacher, run, source_activations, positions, logits_at=at).item_logits


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_one_prediction_a_row(task: Task) -> None:
    teacher, _ = models(task)
    batch, memory = batch_of(task), TeacherCache(teacher)
    made = TeacherOutputs(teacher, batch, memory=memory).run()
    found = CachedForwards(teacher, memory, batch, None).predictions()
    assert found is not None and torch.equal(found.logits, made.logits)


def test_the_ends_of_answers_are_kept_over_the_tokens_of_their_row() -> None:
    teacher, student = models("question_answering")
    batch, memory = batch_of("question_answering"), TeacherCache(teacher, states=True)
    made = TeacherOutputs(teacher, batch, memory=memory).run()
    found = CachedForwards(teacher, memory, batch, None).run(())
    assert found is not None
    run = student.run(batch.inputs)
    terms = [ResponseKD()(StepContext(student, batch, run, teacher, each)) for each in (found, made)]
    assert torch.equal(*terms) and terms[0] > 0
    assert torch.equal(found.hidden[batch.counted], made.hidden[batch.counted])
