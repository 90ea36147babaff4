"""What a recipe names is built once, however many stages of a run use it."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.runs import distill as runs
from causalkd.runs import trained_run
from causalkd.runs.setup import data, prepare, prepared
from tests.shrunk import RESUMED, interrupted, planted_model, shrunk

ONE_STUDENT = (*RESUMED, "teacher.training.steps=1", "students.only.training.steps=1")


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each thing was built, and how often a trained model was read back, while a test runs."""
    counts: Counter[str] = Counter()

    def counted(module: Any, name: str, key: Callable[..., str]) -> None:
        original = getattr(module, name)

        def call(*given: Any, **named: Any) -> Any:
            counts[key(*given, **named)] += 1
            return original(*given, **named)

        monkeypatch.setattr(module, name, call)

    counted(data, "load_examples", lambda _, split, *more, **named: split)
    for module in (prepared, trained_run):
        counted(module, "build_teacher", lambda part, data, role: "teacher")
    counted(prepare, "student_from_teacher", lambda teacher, **named: "student")
    counted(trained_run, "load_model", lambda origin, **named: f"{Path(origin).name} read")
    return counts


def test_data_and_teacher_are_built_once_in_a_run(tmp_path: Path, built: Counter[str]) -> None:
    runs.distill(shrunk("quickstart", tmp_path / "run", *ONE_STUDENT))
    assert built == {
        "train": 1,
        "validation": 1,
        "teacher": 1,  # the learner; preflight has a frozen copy of it
        "teacher read": 1,  # once trained, for the students and for the verification
        "student": 2,  # cut from the untrained teacher to be tried, and from the trained one to be trained
        "student read": 1,  # verification measures what is stored
    }


def test_a_ready_teacher_is_read_once(tmp_path: Path, built: Counter[str]) -> None:
    planted_model(num_hidden_layers=2).save_pretrained(tmp_path / "teacher")
    teacher = ("teacher.training=null", "teacher.config=null", f"teacher.model={tmp_path / 'teacher'}")
    sizes = [change for change in ONE_STUDENT if not change.startswith("teacher.")]
    runs.distill(shrunk("quickstart", tmp_path / "run", *sizes, *teacher))
    assert (built["train"], built["validation"], built["teacher"], built["teacher read"]) == (1, 1, 1, 0)


def test_a_run_that_continues_builds_once_more(tmp_path: Path, built: Counter[str]) -> None:
    recipe = shrunk("quickstart", tmp_path / "run", *ONE_STUDENT)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runs, "build_trainer", interrupted("only", 1))
        runs.distill(recipe)
    built.clear()
    runs.distill(recipe)
    assert (built["train"], built["validation"], built["teacher"], built["teacher read"]) == (1, 1, 1, 1)


def test_the_teacher_that_is_tried_has_the_weights_of_the_learner_and_none_of_its_gradients(tmp_path: Path) -> None:
    found = prepared.prepare(shrunk("quickstart", tmp_path / "run", *ONE_STUDENT))
    assert isinstance(found.learner, HookedModel) and found.learner.role == "student"
    of_learner = found.learner.model.state_dict()
    for name, weight in found.teacher.model.state_dict().items():
        assert torch.equal(weight, of_learner[name]) and weight.data_ptr() != of_learner[name].data_ptr()
    assert not any(parameter.requires_grad for parameter in found.teacher.model.parameters())
    assert all(parameter.requires_grad for parameter in found.learner.model.parameters())
