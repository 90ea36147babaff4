"""A student without weights has the layers and the costs of the one that is built."""

from pathlib import Path

import pytest

from causalkd.alignment.resolve import resolve
from causalkd.recipe.recipe import Recipe
from causalkd.runs.costs.outlines import outline
from causalkd.runs.costs.step_flops import Step, step_flops
from causalkd.runs.costs.step_memory import forwards_held
from causalkd.runs.setup.data import build_data
from causalkd.runs.setup.prepare import build_alignment, build_student, build_teacher
from causalkd.training.flops import ForwardCost, Shape
from tests.shrunk import planted_model, shrunk


def _only(folder: Path, name: str, student: str) -> Recipe:
    return shrunk(name, folder / "never", f"students=[{{name: only, objectives: {{diito: {{}}}}, {student}}}]")


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("quickstart", "layers: [1, 3]"),
        ("quickstart", "every: 2, width: 32"),
        ("quickstart", "layers: [1, 3], lora: {rank: 2}"),
        ("quickstart-lm", "layers: [1]"),
        ("quickstart", "model: CHECKPOINT"),
    ],
)
def test_it_costs_what_the_built_student_costs(name: str, student: str, tmp_path: Path) -> None:
    if "CHECKPOINT" in student:
        planted_model().save_pretrained(tmp_path / "checkpoint")
    recipe = _only(tmp_path, name, student.replace("CHECKPOINT", str(tmp_path / "checkpoint")))
    (part,), data = recipe.students, build_data(recipe.data, recipe.teacher)
    teacher = build_teacher(recipe.teacher, data, "teacher")
    built, found = build_student(part, teacher, data, 0), outline(part, teacher, data)
    assert {weight.device.type for weight in found.model.parameters()} == {"meta"}
    sizes = [
        {key: (weight.shape, weight.requires_grad) for key, weight in each.model.named_parameters()}
        for each in (built, found)
    ]
    assert sizes[0] == sizes[1]
    shape, alignment = Shape(4, 9, 20), build_alignment("middle", teacher, built)
    assert ForwardCost(found).forward(shape) == ForwardCost(built).forward(shape)
    steps = [Step(teacher, each, resolve(alignment, teacher, each), shape) for each in (built, found)]
    for cost in (step_flops, forwards_held):
        assert cost(part.objectives, steps[0]) == cost(part.objectives, steps[1])
