"""A program: distils a recipe in two processes on the CPU. `python -m tests.training.two_processes RECIPE`."""

import sys

from causalkd.recipe.recipe import Recipe
from causalkd.runs import distill as runs
from tests.processes.job import job


def _learn(recipe: Recipe) -> None:
    report = runs.distill(recipe)
    assert len(report.students) == len(recipe.students)


if __name__ == "__main__":
    job(_learn, 2, Recipe.load(sys.argv[1]))
