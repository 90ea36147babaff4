"""A teacher that runs share: trained once, copied whole, the same as one that a run trains for itself."""

import shutil
from pathlib import Path

import pytest

from causalkd.files.manifest import write_manifest
from causalkd.recipe.recipe import Recipe
from causalkd.runs import distill as runs
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.shared_teachers import place_teacher
from tests.shrunk import RESUMED


def test_a_teacher_of_the_store_is_the_one_that_the_run_would_train(tmp_path: Path) -> None:
    def run(name: str, **options: Path) -> RunFolder:
        recipe = Recipe.load("quickstart", [*RESUMED, f"output={tmp_path / name}"])
        runs.distill(recipe, **options)
        return RunFolder(recipe.folder)

    alone, shared = run("alone"), run("shared", teachers=tmp_path / "teachers")
    for part in ("teacher", "student"):
        one, other = (folder.path / part / "model.safetensors" for folder in (alone, shared))
        assert one.read_bytes() == other.read_bytes()
    assert shared.read_cost("teacher").block_forwards == alone.read_cost("teacher").block_forwards
    recipe = Recipe.load(shared.recipe)

    def never(folder: RunFolder) -> None:
        raise AssertionError("it is in the store")

    place_teacher(recipe, RunFolder(tmp_path / "third"), tmp_path / "teachers", {}, never)
    assert (tmp_path / "third" / "teacher" / "manifest.json").is_file()
    trained = []
    other = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"seed": 1})})
    place_teacher(other, RunFolder(tmp_path / "shared"), tmp_path / "teachers", {}, trained.append)
    assert len(trained) == 1, "a teacher of another seed is another teacher"
    changed = {"data.path": "another digest"}
    place_teacher(recipe, RunFolder(tmp_path / "shared"), tmp_path / "teachers", changed, trained.append)
    assert len(trained) == 2, "and so is one of other files of the same name"


def test_a_damaged_teacher_of_the_store_is_named(tmp_path: Path) -> None:
    recipe, store, run = Recipe.load("quickstart", RESUMED), tmp_path / "teachers", RunFolder(tmp_path / "run")

    def train(folder: RunFolder) -> None:
        folder.teacher.mkdir()
        (folder.teacher / "config.json").write_text("{}")
        write_manifest(folder.teacher)
        folder.cost("teacher").parent.mkdir()
        folder.cost("teacher").write_text("{}")

    place_teacher(recipe, RunFolder(tmp_path / "first"), store, {}, train)
    (kept,) = store.glob("*/teacher/config.json")
    kept.write_text("{ }")
    with pytest.raises(ValueError, match=rf"share, {kept.parent}, is damaged: config.json has 3 bytes.*delete that"):
        place_teacher(recipe, run, store, {}, train)
    shutil.rmtree(kept.parents[1])
    place_teacher(recipe, run, store, {}, train)
    assert (run.teacher / "config.json").read_text() == "{}"
