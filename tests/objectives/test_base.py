"""BaseRun and what objectives need kept."""

import pytest

from causalkd.objectives.base import Requirements, Weighted, hook_points_of
from causalkd.objectives.diito import DIITO
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from tests.objectives.steps import aligned, batch_of, models, step_of


def test_the_hook_points_of_all_objectives_once() -> None:
    teacher, student = models()
    one = DIITO(aligned(teacher, student), teacher, student)
    other = DIITO(aligned(teacher, student, ("second", 2, 1)), teacher, student)
    kept = hook_points_of({"a": Weighted(1.0, one), "b": Weighted(0.0, other), "c": Weighted(1.0, ResponseKD())})
    assert kept.teacher == (teacher.hook_point("block_output", 1), teacher.hook_point("block_output", 2))
    assert kept.student == (student.hook_point("block_output", 0), student.hook_point("block_output", 1))
    assert hook_points_of({"task": Weighted(1.0, TaskLoss())}) == Requirements(logits="labelled", same_tokens=False)


def test_without_a_teacher() -> None:
    _, student = models()
    run = step_of(TaskLoss(), None, student, batch_of())
    assert TaskLoss()(run).item() > 0
    with pytest.raises(ValueError, match="compares with a teacher, and there is none; give the training a teacher"):
        ResponseKD()(run)
