"""What a step is planned to cost is what a counter counts while the step runs, on five shrunk recipes."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch.utils.flop_counter import FlopCounterMode

from causalkd.alignment.resolve import resolve
from causalkd.recipe.objective_entry import ObjectiveEntry
from causalkd.recipe.objectives import (
    ObjectivesPart,
    TaskPart,
    register_objective,
    unregister_objective,
)
from causalkd.recipe.recipe import Recipe
from causalkd.runs.costs.plan import plan
from causalkd.runs.costs.step_flops import Step, step_flops
from causalkd.runs.setup.data import build_data
from causalkd.runs.setup.objectives import build_objectives
from causalkd.runs.setup.prepare import build_alignment, build_student, build_teacher
from causalkd.runs.setup.trainer import build_trainer
from causalkd.training.flops import ForwardCost, Shape
from tests.shrunk import shrunk

RECIPES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "response KD": ("quickstart", "{response_kd: {}, task: {}}", ()),
    "DIITO in both directions, sources of the data": (
        *("quickstart", "{response_kd: {}, diito: {crossway: true, pairs: all}}"),
        ("data.sources=dataset",),
    ),
    "AD-KD of two steps": ("quickstart", "{task: {}, adkd: {steps: 2}}", ()),
    "a language model by ATKD and DIITO": ("quickstart-lm", "{atkd: {}, diito: {}}", ()),
    "hidden states of a language model": ("quickstart-lm", "{hidden_kd: {}, diito_hidden: {}}", ()),
}


class _WithoutModules:
    """The counter's own tracker of modules fails where gradients of a leaf are asked for."""

    parents = frozenset({"Global"})

    def __enter__(self) -> "_WithoutModules":
        return self

    def __exit__(self, *_: Any) -> None:
        pass


def _counted(recipe: Recipe) -> float:
    """Operations a step, counted while the student trains; with eager attention, whose products the counter sees."""
    data = build_data(recipe.data, recipe.teacher)
    teacher = build_teacher(recipe.teacher, data, "teacher")
    part = recipe.students[0]
    student = build_student(part, teacher, data, 0)
    for model in (teacher.model, student.model):
        model.set_attn_implementation("eager")
    alignment = build_alignment(recipe.alignment, teacher, student)
    objectives = build_objectives(part.objectives, alignment, teacher, student, 0)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(
            recipe, recipe.training_of(part), data, student, objectives, teacher=teacher, alignment=alignment,
            name=part.name, seed=0, folder=Path(folder) / "student", metrics=Path(folder) / "metrics.jsonl",
        )  # fmt: skip
        counter = FlopCounterMode(display=False)
        counter.mod_tracker = _WithoutModules()  # type: ignore[assignment]
        with counter:
            trainer.train()
    return counter.get_total_flops() / trainer.state.global_step


@pytest.mark.parametrize("name", RECIPES)
def test_the_planned_operations_are_the_counted_ones(name: str, tmp_path: Path) -> None:
    shipped, objectives, changes = RECIPES[name]
    student = f"[{{name: only, layers: [1, 3], training: {{steps: 2}}, objectives: {objectives}}}]"
    recipe = shrunk(shipped, tmp_path / "never", f"students={student}", *changes)
    (stage,) = [stage for stage in plan(recipe, speed=1e9).stages if stage.name == "only-seed0"]
    assert stage.flops_per_step == pytest.approx(_counted(recipe), rel=0.15)
    assert not (tmp_path / "never").exists()


def test_an_objective_brings_its_own_cost(tmp_path: Path) -> None:
    recipe = shrunk("quickstart", tmp_path / "never")
    data = build_data(recipe.data, recipe.teacher)
    teacher = build_teacher(recipe.teacher, data, "teacher")
    student = build_student(recipe.students[0], teacher, data, 0)
    resolved = resolve(build_alignment(recipe.alignment, teacher, student), teacher, student)
    step = Step(teacher, student, resolved, Shape(rows=2, width=4, predicted=2))
    register_objective("costly", ObjectiveEntry(TaskPart, "nowhere:Costly", cost=lambda part, step: 5.0 * part.weight))
    try:
        alone, beside = ({"response_kd": {}}, {"response_kd": {}, "costly": {"weight": 3.0}})
        first, second = (step_flops(ObjectivesPart.model_validate(each), step) for each in (alone, beside))
    finally:
        unregister_objective("costly")
    assert second - first == 15.0
    intervening = ObjectivesPart.model_validate({"response_kd": {}, "diito": {}})
    taught, alone = (
        step_flops(intervening, step),
        step_flops(intervening, replace(step, teacher_share=0.0, is_precomputed=True)),
    )
    forward = ForwardCost(teacher).forward(step.shape)
    assert taught - alone > 1.1 * forward  # the teacher's interchange is precomputed too
