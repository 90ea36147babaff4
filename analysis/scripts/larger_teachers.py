"""The premise of ATKD, on the planted stories: a larger teacher is more certain, so UNC suppresses more of DKD.

    python -m analysis.scripts.larger_teachers

trains three teachers and a small student on the same stories, prints a table and draws runs/larger_teachers.svg. Some
minutes on a CPU. What is measured is the answers of held-out stories, the tokens that a teacher can be certain of.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from transformers.utils import logging

from analysis.figures.style import save
from analysis.figures.teaching_modes import larger_teachers
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.recipe import Recipe
from causalkd.reporting.tables import columns
from causalkd.runs.setup.data import Data, build_data
from causalkd.runs.setup.prepare import build_rows, build_teacher
from causalkd.runs.setup.trainer import build_trainer, task_only
from causalkd.verification.measures.teaching_modes import teaching_modes
from causalkd.verification.results.teaching import TeachingModes

SIZES = ((1, 16), (2, 32), (4, 64))
"""Blocks and width of each teacher; the student has the first size, another seed and no teacher."""
_RANGE = 0.96  # of initial weights, times √width: quickstart-lm's


def compare_teachers(sizes: Sequence[tuple[int, int]] = SIZES, *changes: str) -> dict[str, TeachingModes]:
    """Trains a teacher of each size, and measures all of them on the same answers against the same student.

    Args:
        sizes: Blocks and width, smallest first.
        *changes: To the recipe quickstart-lm, such as `teacher.training.steps=100`.
    """
    recipes = [_recipe(size, changes) for size in sizes]
    data = build_data(recipes[0].data, recipes[0].teacher)
    answers = build_rows(recipes[0], data)
    student = _trained(_recipe(sizes[0], (*changes, "teacher.seed=1")), data)
    models = {_name(size): _trained(recipe, data) for size, recipe in zip(sizes, recipes, strict=True)}
    return {name: teaching_modes(model, student, answers) for name, model in models.items()}


def table(teachers: Mapping[str, TeachingModes]) -> list[tuple[str, ...]]:
    """The heads, and a row per teacher; terms are in nats per token."""
    heads = ("teacher", "uncertainty", "TKD", "DKD", "UNC · DKD", "UNC · DKD / DKD", "UNC · DKD / forward KL")
    rows: list[tuple[str, ...]] = [heads]
    for name, modes in teachers.items():
        target, diversity, left = (float(each.mean()) for each in (modes.target, modes.diversity, modes.suppressed))
        values = (float(modes.uncertainty.mean()), target, diversity, left, left / diversity, 1 - modes.target_share)
        rows.append((name, *(f"{value:.4f}" for value in values)))
    return rows


def main(
    steps: Annotated[int, typer.Option(help="Training steps of each model.")] = 600,
    output: Annotated[Path, typer.Option(help="Where the figure goes, as SVG or PNG.")] = Path(
        "runs/larger_teachers.svg"
    ),
) -> None:
    """Train three teachers on the planted stories, print what they are certain of, and draw it."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    found = compare_teachers(SIZES, f"teacher.training.steps={steps}")
    output.parent.mkdir(parents=True, exist_ok=True)
    save(larger_teachers(found), output)
    typer.echo("\n".join([*columns(table(found)), "", str(output)]))


def _name(size: tuple[int, int]) -> str:
    layers, width = size
    return f"{layers} × {width}"


def _recipe(size: tuple[int, int], changes: Sequence[str]) -> Recipe:
    layers, width = size
    shape = {"n_layer": layers, "n_embd": width, "n_inner": 4 * width, "initializer_range": _RANGE / width**0.5}
    return Recipe.load("quickstart-lm", [*(f"teacher.config.{key}={value}" for key, value in shape.items()), *changes])


def _trained(recipe: Recipe, data: Data) -> HookedModel:
    part = recipe.teacher
    assert part.training is not None
    model = build_teacher(part, data, "student")
    with tempfile.TemporaryDirectory() as folder:
        build_trainer(
            recipe, part.training, data, model, task_only(), teacher=None, alignment=None,
            name=_name((model.n_layers, model.width)), seed=part.seed, folder=Path(folder),
            metrics=Path(folder) / "metrics.jsonl",
        ).train()  # fmt: skip
    return model


if __name__ == "__main__":
    typer.run(main)
