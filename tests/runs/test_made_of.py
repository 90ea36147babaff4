"""A model that was trained anew is told from the one before."""

import json
from pathlib import Path

from causalkd.files.manifest import write_manifest
from causalkd.recipe.recipe import Recipe
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.stages import goals
from causalkd.runs.made_of import models_of


def test_every_model_has_a_digest_of_its_own(tmp_path: Path) -> None:
    recipe, folder = Recipe.load("quickstart"), RunFolder(tmp_path)
    assert models_of(folder, recipe) == {}
    trained = goals(folder, recipe)
    for name, goal in trained.items():
        goal.mkdir(parents=True)
        (goal / "config.json").write_text(json.dumps({"name": name}))
        write_manifest(goal)
    before = models_of(folder, recipe)
    assert list(before) == list(trained) and len(set(before.values())) == len(trained)
    goal = trained["kd-seed0"]
    (goal / "config.json").write_text("{}")
    write_manifest(goal)
    now = models_of(folder, recipe)
    assert {name for name in before if before[name] != now[name]} == {"kd-seed0"}


def test_a_teacher_on_the_hub_is_its_name(tmp_path: Path) -> None:
    recipe = Recipe.load("quickstart")
    given = recipe.teacher.model_copy(update={"config": None, "training": None, "model": "someone/teacher"})
    assert models_of(RunFolder(tmp_path), recipe.model_copy(update={"teacher": given})) == {
        "teacher": "someone/teacher"
    }
