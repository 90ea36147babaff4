from pathlib import Path
from typing import Any

import pytest

from causalkd.recipe.commands import Command, refusal
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.pipeline import PipelineRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.study import Study

OF: dict[Command, tuple[Any, str]] = {
    "distill": (Recipe.load, "{name: a, teacher: {model: x}, students: []}"),
    "finetune": (FinetuneRecipe.load, "{name: a, model: x, training: {steps: 0}}"),
    "pipeline": (PipelineRecipe.load, "{name: a, distill: [], finetune: {}}"),
    "study": (Study.load, "{name: a, recipe: quickstart, grid: 3}"),
}


@pytest.mark.parametrize("command", OF)
@pytest.mark.parametrize("given", OF)
def test_a_recipe_of_another_command_is_said(command: Command, given: Command, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(OF[given][1])
    with pytest.raises(ValueError) as caught:
        OF[command][0](tmp_path / "a.yaml")
    hint = f"its keys are those of a recipe for `causalkd {given}`: call that command, or correct the keys"
    assert (hint in str(caught.value)) == (command != given)


def test_what_has_no_such_keys_gets_no_hint() -> None:
    assert refusal("recipe", "a.yaml", "distill", {"name": "a", "data": {}}) == "recipe a.yaml cannot be used"
    assert refusal("study", "a.yaml", "study", 3) == "study a.yaml cannot be used"


def test_a_run_of_a_pipeline_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(ValueError, match=r"distill\[0\]: 3 given, but a recipe is a name, a file or keys"):
        PipelineRecipe.parse({"name": "a", "distill": [3], "finetune": {}})


@pytest.mark.parametrize("places", ["3", "[late]", "late"])
def test_places_of_a_study_that_are_no_mapping_are_refused(tmp_path: Path, places: str) -> None:
    (tmp_path / "a.yaml").write_text(f"{{name: a, recipe: quickstart, measure_at: {places}}}")
    with pytest.raises(ValueError, match=r"measure_at: .* given"):
        Study.load(tmp_path / "a.yaml")
