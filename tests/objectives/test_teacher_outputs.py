"""A teacher before a batch: runs once, when asked, and not at all where everything is remembered."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from causalkd.data.batch import Batch
from causalkd.data.token_mask import flat_positions
from causalkd.objectives.cached_predictions import Counterfactual
from causalkd.objectives.teacher_map import TeacherMap
from causalkd.objectives.teacher_outputs import TeacherOutputs
from causalkd.training.teacher_cache import TeacherCache
from tests.objectives.steps import batch_of, models

BATCH = batch_of("classification")


class Everything:
    """Remembers whole batches by what was asked."""

    top_k: int | None = None
    states: bool = False
    counterfactuals: bool = False
    is_all: bool = False

    def __init__(self) -> None:
        self.kept: dict[str, Mapping[str, Tensor]] = {}

    def recall(self, what: str, batch: Batch, depends_on: Tensor | None = None) -> Mapping[str, Tensor] | None:
        return self.kept.get(what)

    def keep(self, what: str, batch: Batch, answer: Counterfactual, depends_on: Tensor | None = None) -> None:
        self.kept[what] = {name: each for name, each in answer.items() if isinstance(each, Tensor)}


def test_it_runs_once_and_not_before_it_is_asked() -> None:
    teacher, _ = models("classification")
    ran: list[int] = []
    teacher.blocks[0].register_forward_hook(lambda *_: ran.append(1))
    query = TeacherMap(teacher.hook_point("block_input", 0), "all", "loss", 1, 32)
    hook_point = teacher.hook_point("block_output", 1)
    teacher_outputs = TeacherOutputs(teacher, BATCH, (hook_point,), query=query)
    assert ran == []
    run, found = teacher_outputs.run(), teacher_outputs.answer(query)
    assert teacher_outputs.run() is run and teacher_outputs.predictions() is run and ran == [1]
    plain = teacher.run(BATCH.inputs, [hook_point])
    assert torch.equal(run.logits, plain.logits) and torch.equal(
        run.activations[hook_point], plain.activations[hook_point]
    )
    assert (
        not run.logits.requires_grad and not run.hidden.requires_grad and not run.activations[hook_point].requires_grad
    )
    assert found["scores"].shape == (4, 10, 3)
    assert found["scores"][~BATCH.counted].abs().max() == 0


def test_a_teacher_whose_answers_are_known_does_not_run() -> None:
    teacher, _ = models("classification")
    query = TeacherMap(teacher.hook_point("block_input", 0), "all", "loss", 1, 32)
    memory = Everything()
    first = TeacherOutputs(teacher, BATCH, query=query, memory=memory)
    logits, scores = first.predictions().logits, first.answer(query)["scores"]
    ran: list[int] = []
    teacher.blocks[0].register_forward_hook(lambda *_: ran.append(1))
    again = TeacherOutputs(teacher, BATCH, query=query, memory=memory)
    assert torch.equal(again.predictions().logits, logits) and torch.equal(again.answer(query)["scores"], scores)
    assert ran == []
    assert again.run().hidden.shape == (4, 10, 32) and ran == [1]  # hidden states are not kept


def test_a_map_that_was_not_announced() -> None:
    teacher, _ = models("classification")
    query = TeacherMap(teacher.hook_point("block_input", 0), "all", "loss", 1, 32)
    with pytest.raises(ValueError, match="was not announced in the objective's `requirements`"):
        TeacherOutputs(teacher, BATCH).answer(query)


def test_a_map_of_a_drawn_token_is_remembered() -> None:
    teacher, _ = models("causal_lm", "gpt2", "gpt2")
    batch, memory = batch_of("causal_lm"), TeacherCache(teacher)
    query = TeacherMap(teacher.hook_point("block_input", 0), 2, "log_probability", 1, 32)
    at = flat_positions(batch.counted)
    first = TeacherOutputs(teacher, batch, logits_at=at, query=query, memory=memory).answer(query)
    ran: list[int] = []
    teacher.blocks[0].register_forward_hook(lambda *_: ran.append(1))
    again = TeacherOutputs(teacher, batch, logits_at=at, query=query, memory=memory).answer(query)
    assert torch.equal(again["choice"], first["choice"]) and torch.equal(again["scores"], first["scores"])
    assert ran == []
