import pytest

from causalkd.models.hooks.eval_mode import evaluating
from tests.held_out import teacher_and_student


def test_modes_come_back_even_after_an_error() -> None:
    teacher, student = teacher_and_student()
    student.model.train()
    student.blocks[0].eval()
    before = [module.training for module in student.model.modules()]
    with pytest.raises(RuntimeError, match="stop"), evaluating([teacher, student]):
        assert not any(module.training for module in student.model.modules())
        raise RuntimeError("stop")
    assert [module.training for module in student.model.modules()] == before
