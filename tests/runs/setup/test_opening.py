"""A folder is taken by one run, never over something finished or foreign."""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from causalkd.files.manifest import write_manifest
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.lock import locked
from causalkd.runs.folder.stages import goals
from causalkd.runs.setup.data import Data, build_data
from causalkd.runs.setup.opening import begin, hold
from tests.runs.test_finetune import RECIPE


@pytest.fixture(scope="module")
def recipe() -> FinetuneRecipe:
    return FinetuneRecipe.parse(RECIPE)


@pytest.fixture(scope="module")
def data(recipe: FinetuneRecipe) -> Data:
    return build_data(recipe.data, recipe.learner(0))


def test_a_new_folder_is_made_locked_and_described(tmp_path: Path, recipe: FinetuneRecipe, data: Data) -> None:
    folder, told = RunFolder(tmp_path / "run"), []
    with ExitStack() as held:
        is_held = hold(folder, held, overwrite=False)
        assert not folder.path.exists()
        begin(folder, held, recipe, data, is_held=is_held, overwrite=False, tell=told.append)
        with pytest.raises(ValueError, match="is working in"), locked(folder.path):
            pass
    assert {path.name for path in folder.path.iterdir()} == {"recipe.yaml", "data.json"}
    assert [line.partition(" of ")[0] for line in told] == ["40 examples", "12 examples"]
    with locked(folder.path):
        pass


def test_a_training_goes_on_only_in_as_many_processes(tmp_path: Path, recipe: FinetuneRecipe, data: Data) -> None:
    folder = RunFolder(tmp_path / "run")

    def opened() -> None:
        with ExitStack() as held:
            begin(folder, held, recipe, data, is_held=hold(folder, held, False), overwrite=False, tell=None)

    opened()
    made = folder.data.read_text()
    checkpoint = folder.work("model-seed0") / "checkpoint-2"
    checkpoint.mkdir(parents=True)
    write_manifest(checkpoint)
    opened()
    folder.data.write_text(json.dumps({**json.loads(made), "processes": 2}))
    with pytest.raises(ValueError, match="the number of processes was 2, is 1, so steps"):
        opened()
    for goal in goals(folder, recipe).values():  # nothing is left to train
        goal.mkdir(parents=True)
    opened()
    assert json.loads(folder.data.read_text())["processes"] == 2


@pytest.mark.parametrize("there", [True, False])
def test_the_same_overwriting_call_goes_on(tmp_path: Path, recipe: FinetuneRecipe, data: Data, there: bool) -> None:
    folder = RunFolder(tmp_path / "run")
    checkpoint = folder.work("model-seed0") / "checkpoint-2"

    def opened(recipe: FinetuneRecipe, overwrite: bool = True) -> bool:
        with ExitStack() as held:
            is_held = hold(folder, held, overwrite)
            begin(folder, held, recipe, data, is_held=is_held, overwrite=overwrite, tell=None)
        going_on = checkpoint.is_dir()
        if not going_on:
            checkpoint.mkdir(parents=True)
            write_manifest(checkpoint)
        return going_on

    other = recipe.model_copy(update={"seeds": (0, 1)})
    if there:
        assert not opened(other, overwrite=False)
        folder.finetuned.write_text("{}")
    assert not opened(recipe)
    assert opened(recipe) and opened(recipe, overwrite=False) and opened(recipe)
    assert not opened(other) and opened(other)  # another recipe's training is not this one's
    assert (folder.replaced / "finetune.json").is_file() is there
    folder.finetuned.write_text("{}")
    assert not opened(other)


def test_an_unfinished_run_that_overwrites_nothing_is_overwritten(
    tmp_path: Path, recipe: FinetuneRecipe, data: Data
) -> None:
    folder = RunFolder(tmp_path / "run")
    for overwrite in (False, True):
        with ExitStack() as held:
            is_held = hold(folder, held, overwrite)
            begin(folder, held, recipe, data, is_held=is_held, overwrite=overwrite, tell=None)
        assert not folder.work("model-seed0").is_dir()
        folder.work("model-seed0").mkdir(parents=True)


def test_a_foreign_folder_is_refused(tmp_path: Path, recipe: FinetuneRecipe, data: Data) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with ExitStack() as held, pytest.raises(ValueError, match=r"not a run|not exactly a run"):
            is_held = hold(RunFolder(tmp_path), held, overwrite)
            begin(RunFolder(tmp_path), held, recipe, data, is_held=is_held, overwrite=overwrite, tell=None)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_finished_run_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "finetune.json").write_text("{}")
    with ExitStack() as held, pytest.raises(ValueError, match="holds a finished run"):
        hold(RunFolder(tmp_path), held, overwrite=False)
