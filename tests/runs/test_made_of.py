"""A model that was trained anew is told from the one before."""

import json
from pathlib import Path

from causalkd.files.manifest import write_manifest
from causalkd.recipe.recipe import Recipe
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.stages import goals
from causalkd.runs.made_of import is_known_of, models_of


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


def test_what_was_measured_stays_known_of_models_that_are_the_same_or_of_which_nothing_is_recorded() -> None:
    teacher, other, student = "a" * 64, "b" * 64, {"kd-seed0": "c" * 64}
    before = {"teacher": teacher, **student}
    assert is_known_of(None, before) and is_known_of(before, before)
    assert is_known_of(before, {"teacher": "runs/gone/model", **student}), "its folder is no longer there"
    assert not is_known_of(before, {"teacher": other, **student})
    assert not is_known_of(before, {"teacher": teacher, "kd-seed0": "d" * 64})
    assert not is_known_of({"teacher": "someone/one", **student}, {"teacher": "someone/other", **student})


def test_a_teacher_on_the_hub_is_its_name(tmp_path: Path) -> None:
    recipe = Recipe.load("quickstart")
    given = recipe.teacher.model_copy(update={"config": None, "training": None, "model": "someone/teacher"})
    assert models_of(RunFolder(tmp_path), recipe.model_copy(update={"teacher": given})) == {
        "teacher": "someone/teacher"
    }
