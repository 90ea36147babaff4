"""The task kinds, and that the tiny models cover them."""

from causalkd.task_types import TASK_TYPES
from tests.tiny import ARCHITECTURES, MODELS, TASKS_OF


def test_every_task_kind_has_a_tiny_model() -> None:
    assert {task for _, task in MODELS} == set(TASK_TYPES)
    assert set(TASKS_OF) == set(ARCHITECTURES)
