"""Two processes learn what one learns from the same rows: same sources, same positions, same parameters."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from causalkd.recipe.recipe import Recipe
from causalkd.runs import distill as runs
from causalkd.training.callbacks import read_rows
from tests.forked import ended
from tests.shrunk import planted_model, shrunk

TERMS = "{response_kd: {}, diito: {}, task: {}, adkd: {steps: 2}, atkd: {}, hidden_kd: {}}"
UNREACHED = "{hidden_kd: {}}"  # nothing of the head


def _recipe(folder: Path, rows: int) -> Recipe:
    """Dropout is off: each process draws its own. Every group of rows, in which sources lie, stays in one process."""
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    if not (folder.parent / "teacher").is_dir():
        planted_model(num_hidden_layers=4, **dropout).save_pretrained(folder.parent / "teacher")
    student = "{{name: {}, layers: [1, 3], training: {{steps: 5, weight_decay: 0.1}}, objectives: {}}}"
    students = f"{student.format('only', TERMS)}, {student.format('unreached', UNREACHED)}"
    changes = ("teacher.config=null", "teacher.training=null", f"teacher.model={folder.parent / 'teacher'}")
    changes += (f"students=[{students}]", f"training.batch_size={rows}", "training.logging_steps=1", "data.group=4")
    changes += ("training.gradient_accumulation=2",)
    return shrunk("quickstart", folder, *changes)


def _parameters(folder: Path, student: str) -> dict[str, torch.Tensor]:
    (path,) = (folder / "student").glob(f"{student}*")
    return AutoModelForSequenceClassification.from_pretrained(path).state_dict()


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(_recipe(tmp_path / "two", rows=8).to_yaml())
    done = ended("tests.training.two_processes", str(tmp_path / "recipe.yaml"))
    assert done.code == 0, done.stderr[-3000:]
    runs.distill(_recipe(tmp_path / "one", rows=16))

    start = planted_model(num_hidden_layers=4).model.state_dict()["classifier.weight"]
    for student in ("only", "unreached"):
        one, two = (_parameters(tmp_path / name, student) for name in ("one", "two"))
        moved = (one["classifier.weight"] - start).abs().max()
        assert moved > 1e-3 if student == "only" else moved == 0  # no decay moves what no objective reaches
        assert max((tensor - two[name]).abs().max().item() for name, tensor in one.items()) < 1e-6
    first, second = (read_rows(tmp_path / name / "metrics.jsonl") for name in ("one", "two"))
    assert [row["step"] for row in second] == 2 * [1, 2, 3, 4, 5]  # printed once, not by each process
    for row, other in zip(first, second, strict=True):
        logged = {name for name in row if name == "loss" or name.startswith("term/")}
        assert logged == {name for name in other if name == "loss" or name.startswith("term/")}
        for name in logged:  # over the rows of both processes, in float32, of which distances near 0 lose digits
            assert other[name] == pytest.approx(row[name], rel=1e-5, abs=8 * torch.finfo(torch.float32).eps), name
    costs = [(tmp_path / name / "costs" / "only-seed0.json").read_text().split(",")[0] for name in ("one", "two")]
    assert costs[0] == costs[1]  # the work of both processes counts
