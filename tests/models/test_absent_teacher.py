"""A teacher without weights says of itself what the teacher says, and is nowhere in memory."""

import pickle
from pathlib import Path

import pytest

from causalkd.models.absent_teacher import AbsentTeacher, describe_teacher
from causalkd.models.fitting_models import check_pair
from causalkd.models.load import load_model
from tests.shrunk import planted_model


def test_what_is_known_of_a_teacher_without_its_weights(tmp_path: Path) -> None:
    planted_model(num_hidden_layers=4).save_pretrained(tmp_path / "there")
    teacher = load_model(tmp_path / "there", task="classification", role="teacher")
    describe_teacher(teacher, tmp_path / "described")
    assert not list((tmp_path / "described").glob("*.safetensors"))
    absent = AbsentTeacher(tmp_path / "described", "classification")
    assert absent.hook_points() == teacher.hook_points()
    assert (absent.n_layers, absent.width, absent.role) == (teacher.n_layers, teacher.width, "teacher")
    assert all(weight.is_meta for weight in absent.model.parameters())
    check_pair(absent, load_model(tmp_path / "there", task="classification", role="student"))
    assert pickle.loads(pickle.dumps(absent)).hook_points() == absent.hook_points()
    (tmp_path / "described" / "hook_points.json").write_text("[3]")
    with pytest.raises(ValueError, match=r"hook_points\.json cannot be read: TypeError: .*precompute` again"):
        AbsentTeacher(tmp_path / "described", "classification")
