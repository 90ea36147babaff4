"""Counting block-forwards: what runs counts, what an interchange skips does not, nothing stays behind."""

import pytest
import torch

from causalkd.alignment.interchange import hook_points_needed, interchange
from causalkd.alignment.presets import preset
from causalkd.alignment.resolve import resolve
from causalkd.data.positions import Positions
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.training.compute import BlockForwards
from tests.architectures.toy import ToyBlock
from tests.tiny import tiny, tiny_inputs

INPUTS = tiny_inputs(batch=4)
TEACHER_LAYERS, STUDENT_LAYERS = 4, 2


@pytest.fixture
def teacher() -> HookedModel:
    return HookedModel(tiny("bert", "masked_lm", layers=TEACHER_LAYERS), task="masked_lm", role="teacher")


@pytest.fixture
def student() -> HookedModel:
    return HookedModel(tiny("bert", "masked_lm", layers=STUDENT_LAYERS), task="masked_lm", role="student")


def test_a_forward_counts_every_block_for_every_row(teacher: HookedModel, student: HookedModel) -> None:
    counter = BlockForwards()
    with counter.counting(student, teacher):
        teacher.run(INPUTS)
        assert counter.total == 4 * TEACHER_LAYERS
        student.run({name: tensor[:3] for name, tensor in INPUTS.items()})
    # A trained block counts three times: its backward costs two forwards.
    assert counter.total == 4 * TEACHER_LAYERS + 3 * 3 * STUDENT_LAYERS


def test_blocks_that_take_hidden_states_by_name_and_return_tuples_count_too() -> None:
    counter, block = BlockForwards(), ToyBlock(4)
    handle = counter._count(block, 1)
    block(hidden_states=torch.zeros(3, 5, 4), mask=torch.ones(3, 5))
    handle.remove()
    assert counter.total == 3


def test_nothing_is_counted_outside(teacher: HookedModel, student: HookedModel) -> None:
    counter = BlockForwards()
    with pytest.raises(KeyboardInterrupt), counter.counting(student, teacher):
        student.run(INPUTS)
        raise KeyboardInterrupt
    once = counter.total
    student.run(INPUTS)
    teacher.run(INPUTS)
    assert counter.total == once
    assert not any(block._forward_hooks for model in (student, teacher) for block in model.blocks)
    with counter.counting(student, None):
        teacher.run(INPUTS)
        student.run(INPUTS)
    assert counter.total == 2 * once


def test_what_a_student_is_measured_on_is_no_training(teacher: HookedModel, student: HookedModel) -> None:
    counter = BlockForwards()
    with counter.counting(student, teacher), torch.no_grad():
        student.run(INPUTS)
        assert counter.total == 0
        teacher.run(INPUTS)
    assert counter.total == 4 * TEACHER_LAYERS


def test_skipped_blocks_do_not_count(teacher: HookedModel, student: HookedModel) -> None:
    (pair,) = resolve(preset("middle", TEACHER_LAYERS, STUDENT_LAYERS), teacher, student).pairs
    assert (pair.teacher[0].hook_point.layer, pair.student[0].hook_point.layer) == (2, 0)
    hook_point, rows = torch.zeros(4, 1, dtype=torch.long), torch.tensor([1, 0, 3, 2])
    positions, counter = Positions(hook_point, hook_point, hook_point == 0), BlockForwards()
    with counter.counting(student, teacher):
        for model, sites, after in ((teacher, pair.teacher, 1), (student, pair.student, 3)):
            base = model.run(INPUTS, hook_points_needed(model, sites))
            before = counter.total
            interchange(model, sites, base, base.source_activations(rows), positions)
            assert counter.total - before == 4 * after  # the one block after the site


def test_a_forward_that_ends_early_counts_up_to_there(teacher: HookedModel, student: HookedModel) -> None:
    counter = BlockForwards()
    with counter.counting(student, teacher):
        teacher.read(INPUTS, [teacher.hook_point("block_input", 2)])
    assert counter.total == 4 * 2
