"""BaseRun and what objectives need kept."""

import pytest

from causalkd.models.hooks.forward import ForwardOutput
from causalkd.objectives.adkd import ADKD
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


def test_a_finished_run_of_a_teacher_is_not_asked_for_more_than_its_predictions() -> None:
    teacher, student = models()
    batch, objective = batch_of(), ADKD(teacher, student, steps=1, views=1)
    run = step_of(ResponseKD(), teacher, student, batch)
    assert isinstance(run.teacher_run, ForwardOutput)
    with pytest.raises(ValueError, match=r"the step has a finished run of it; give `teacher_run=TeacherOutputs\("):
        objective(run)
    with pytest.raises(ValueError, match=r"and the step has no teacher; give `teacher_run=TeacherOutputs\("):
        objective(step_of(TaskLoss(), None, student, batch))
