"""The planned memory of a training is what its tensors take while it runs, on five shrunk recipes."""

import tempfile
from pathlib import Path

import pytest

from causalkd.recipe.recipe import Recipe
from causalkd.runs.costs.plan import plan
from causalkd.runs.setup.data import build_data
from causalkd.runs.setup.objectives import build_objectives
from causalkd.runs.setup.prepare import build_alignment, build_student, build_teacher
from causalkd.runs.setup.trainer import build_trainer
from tests.runs.costs.live_bytes import LiveBytes
from tests.shrunk import shrunk

RECIPES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "response KD": ("quickstart", "{response_kd: {}, task: {}}", ()),
    "DIITO in both directions, sources of the data": (
        *("quickstart", "{response_kd: {}, diito: {crossway: true, pairs: all}}"),
        ("data.sources=dataset",),
    ),
    "AD-KD of two steps": ("quickstart", "{task: {}, adkd: {steps: 2}}", ()),
    "a language model's task": ("quickstart-lm", "{task: {}}", ()),
    "hidden states of a language model": ("quickstart-lm", "{hidden_kd: {}, diito_hidden: {}}", ()),
}


def _measured(recipe: Recipe) -> int:
    """Bytes alive at the peak of two steps: weights, gradients, moments and activations."""
    data, part = build_data(recipe.data, recipe.teacher), recipe.students[0]
    teacher = build_teacher(recipe.teacher, data, "teacher")
    student = build_student(part, teacher, data, 0)
    alignment = build_alignment(recipe.alignment, teacher, student)
    objectives = build_objectives(part.objectives, alignment, teacher, student, 0)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(
            recipe, recipe.training_of(part), data, student, objectives, teacher=teacher, alignment=alignment,
            name=part.name, seed=0, folder=Path(folder) / "student", metrics=Path(folder) / "metrics.jsonl",
        )  # fmt: skip
        live = LiveBytes()
        for weight in (*teacher.model.parameters(), *student.model.parameters()):
            live.count(weight)
        with live:
            trainer.train()
    return live.peak


@pytest.mark.parametrize("name", RECIPES)
def test_the_planned_memory_is_what_is_alive_at_the_peak(name: str, tmp_path: Path) -> None:
    shipped, objectives, changes = RECIPES[name]
    student = f"[{{name: only, layers: [1, 3], training: {{steps: 2}}, objectives: {objectives}}}]"
    recipe = shrunk(shipped, tmp_path / "never", f"students={student}", *changes)
    (stage,) = [stage for stage in plan(recipe, speed=1e9).stages if stage.name == "only-seed0"]
    assert float(stage.memory) == pytest.approx(_measured(recipe), rel=0.15)
