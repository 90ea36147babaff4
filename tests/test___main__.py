"""`python -m causalkd` is the command line."""

import subprocess
import sys

from causalkd.recipe.recipe import shipped_pipelines, shipped_recipes


def test_the_package_runs_as_the_command() -> None:
    told = subprocess.run([sys.executable, "-m", "causalkd", "recipes"], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert told.stdout.split() == [*shipped_recipes(), *shipped_pipelines()]
