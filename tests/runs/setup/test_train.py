"""A training is finished and put in place in one step, with its cost beside it."""

import json
import shutil
from pathlib import Path

import pytest

from causalkd.files.manifest import damage
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.sections import TrainingPart
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.setup.data import build_data
from causalkd.runs.setup.prepare import build_teacher
from causalkd.runs.setup.train import best_step, chosen_by, finish_training, put_in_place
from causalkd.runs.setup.trainer import build_trainer, task_only
from tests.runs.test_finetune import RECIPE
from tests.tiny import tiny


def test_the_model_the_cost_and_nothing_else_stay(tmp_path: Path) -> None:
    recipe, folder = FinetuneRecipe.parse(RECIPE), RunFolder(tmp_path)
    data = build_data(recipe.data, recipe.learner(0))
    learner = build_teacher(recipe.learner(0), data, "student")
    trainer = build_trainer(
        recipe, recipe.training, data, learner, task_only(), teacher=None, alignment=None,
        name="model", seed=0, folder=folder.work("model-seed0"), metrics=folder.metrics,
    )  # fmt: skip
    earlier, told = [tmp_path / f"evaluations/{name}-planted-validation.json" for name in ("model", "seed1")], []
    for file in earlier:
        file.parent.mkdir(exist_ok=True)
        file.write_text("{}")
    finish_training(trainer, folder, "model-seed0", folder.model(recipe, 0), told.append)
    assert [file.exists() for file in earlier] == [False, True]
    said = "what was measured of the earlier one is deleted: evaluations/model-planted-validation.json"
    assert told == [f"model-seed0 was trained anew, so {said}"]
    assert damage(folder.path / "model") is None
    cost = json.loads(folder.cost("model-seed0").read_text())
    # Two blocks, each row of 8 batches of 8 counted three times, as a trained block is.
    assert (cost["steps"], cost["block_forwards"]) == (8, 2 * 3 * 8 * 8)
    assert not folder.work("model-seed0").exists()


def test_a_training_again_keeps_the_files_of_trackers(tmp_path: Path) -> None:
    folder, goal = RunFolder(tmp_path), tmp_path / "student"
    student = HookedModel(tiny("bert", "classification"), task="classification", role="student")
    for call in ("first", "again"):
        tracked = folder.work("kd-seed0") / "runs" / "host"
        tracked.mkdir(parents=True)
        (tracked / call).write_text(call)
        put_in_place(student, folder, "kd-seed0", goal)
        assert not folder.work("kd-seed0").exists()
        shutil.rmtree(goal)  # as the message of a damaged checkpoint says
    assert {path.name for path in (folder.tracked("kd-seed0") / "host").iterdir()} == {"first", "again"}


def test_only_weights_that_were_chosen_are_called_so(tmp_path: Path) -> None:
    folder, training = RunFolder(tmp_path), TrainingPart(steps=2, metric_for_best_model="accuracy")
    assert chosen_by(folder, "kd-seed0", training) == "accuracy" and chosen_by(folder, "kd-seed0", None) is None
    folder.cost("kd-seed0").parent.mkdir()
    for best, found in (("4", "accuracy"), ("null", None)):  # the second: the metric was never a number
        folder.cost("kd-seed0").write_text(f'{{"best_step": {best}}}')
        assert chosen_by(folder, "kd-seed0", training) == found


def test_the_best_step_of_a_damaged_cost_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert best_step(folder, "kd-seed0") is None
    folder.cost("kd-seed0").parent.mkdir()
    folder.cost("kd-seed0").write_text('{"best_step": 3')
    with pytest.raises(ValueError, match=r"kd-seed0\.json is damaged: .*; put it back from a copy, or delete it"):
        best_step(folder, "kd-seed0")
