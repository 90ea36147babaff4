"""A fine-tuning from recipe to scores: what its folder holds, that it continues, what it refuses."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.runs import finetune as runs
from causalkd.runs.distill import distill, verify
from causalkd.runs.evaluation.tasks import evaluate_task
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.setup import trainer as set_up
from causalkd.runs.setup.data import build_data
from causalkd.runs.setup.prepare import build_teacher
from causalkd.runs.trained_run import finished_models
from causalkd.training.callbacks import read_rows
from causalkd.verification.results.finetuning import FinetuneResults
from tests.shrunk import RESUMED, Interrupt, planted_model, shrunk

RECIPE = {
    "name": "tuned",
    "config": {
        **{"model_type": "bert", "num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2},
        **{"intermediate_size": 16, "hidden_dropout_prob": 0.2},
    },
    "data": {"task": "planted", "train_limit": 40, "eval_limit": 12, "max_length": 11},
    "training": {"steps": 8, "batch_size": 8, "logging_steps": 1, "save_steps": 2},
}


def recipe(output: Path, **changes: object) -> FinetuneRecipe:
    return FinetuneRecipe.parse({**RECIPE, "output": str(output), **changes})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForSequenceClassification.from_pretrained(folder).state_dict()


def equal(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("finetune") / "run")
    runs.finetune(recipe(folder.path, seeds=[0, 1]))
    return folder


def test_the_folder_holds_the_models_the_scores_and_the_complete_recipe(tuned: RunFolder) -> None:
    assert {path.name for path in tuned.path.iterdir()} == {
        *("recipe.yaml", "data.json", "metrics.jsonl", "finetune.json", "model", "costs", "evaluations"),
    }
    found = FinetuneResults.read(tuned.finetuned)
    assert FinetuneRecipe.load(tuned.recipe).seeds == (0, 1)
    assert [(each.seed, each.model, each.steps) for each in found.scores] == [
        (0, "model/seed0", 8), (1, "model/seed1", 8)
    ]  # fmt: skip
    rows = read_rows(tuned.metrics)
    assert [(row["student"], row["seed"], row["step"]) for row in rows] == [
        ("model", seed, step) for seed in (0, 1) for step in range(1, 9)
    ]
    assert all(row["loss"] == pytest.approx(row["term/task"]) for row in rows)


@pytest.mark.parametrize("name", ["manifest.json", "model.safetensors"])
def test_models_that_were_changed_are_not_measured(tuned: RunFolder, tmp_path: Path, name: str) -> None:
    folder = RunFolder(shutil.copytree(tuned.path, tmp_path / "run"))
    file = folder.path / "model" / "seed1" / name
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"the checkpoint .*seed1 is damaged: .*; restore it from a copy"):
        finished_models(folder)


def test_the_scores_are_those_of_the_predictions(tuned: RunFolder) -> None:
    scores = FinetuneResults.read(tuned.finetuned).scores
    assert len(scores) == 2
    for each in scores:
        rows = Dataset.from_parquet(str(tuned.path / each.predictions))
        share = sum(a == b for a, b in zip(rows["label"], rows["prediction"], strict=True)) / len(rows)
        assert len(rows) == 12 and each.metrics["accuracy"] == pytest.approx(share)


def test_seeds_differ_and_the_same_seed_is_the_same(tuned: RunFolder, tmp_path: Path) -> None:
    runs.finetune(recipe(tmp_path / "again", seeds=[1]))
    assert equal(tmp_path / "again" / "model", tuned.path / "model" / "seed1")
    assert not equal(tuned.path / "model" / "seed0", tuned.path / "model" / "seed1")


@pytest.mark.parametrize("step", [3, 8])
def test_an_interrupted_run_ends_as_one_that_was_not(tuned: RunFolder, tmp_path: Path, step: int) -> None:
    def build_trainer(*args: Any, **options: Any) -> Any:
        trainer = set_up.build_trainer(*args, **options)
        trainer.add_callback(Interrupt(step, after_saving=step == 8))
        return trainer

    asked = recipe(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runs, "build_trainer", build_trainer)
        runs.finetune(asked)
    assert not (tmp_path / "run" / "model").exists()
    runs.finetune(asked)
    assert equal(tmp_path / "run" / "model", tuned.path / "model" / "seed0")
    assert [row["step"] for row in read_rows(tmp_path / "run" / "metrics.jsonl")] == list(range(1, 9))


def test_other_settings_do_not_continue(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(runs, "_scored", _fails)
        runs.finetune(recipe(tmp_path / "run"))
    with pytest.raises(ValueError, match=r"model-seed0 was trained with other settings \(training.learning_rate was"):
        runs.finetune(recipe(tmp_path / "run", training={**RECIPE["training"], "learning_rate": 0.1}))
    with pytest.raises(ValueError, match="unfinished run of another kind"):
        distill(shrunk("quickstart", tmp_path / "run", *RESUMED))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "finish_training", _fails)
        runs.finetune(recipe(tmp_path / "run"))  # only what was left to do


def _fails(*_: object) -> None:
    raise MemoryError


def test_it_has_no_students_to_verify(tuned: RunFolder) -> None:
    with pytest.raises(ValueError, match="holds a fine-tuning, which has no students to verify; `causalkd report"):
        verify(tuned.path)


def test_a_finished_run_is_kept_or_overwritten(tmp_path: Path) -> None:
    runs.finetune(recipe(tmp_path / "run"))
    with pytest.raises(ValueError, match="holds a finished run"):
        runs.finetune(recipe(tmp_path / "run"))
    found = runs.finetune(recipe(tmp_path / "run", seeds=[5]), overwrite=True)
    assert [each.seed for each in found.scores] == [5]
    assert not (tmp_path / "run" / "replaced").exists()


def test_a_distilled_student_gets_a_new_head(tmp_path: Path) -> None:
    """Its body is where the training starts; the head of its task is not."""
    student = planted_model("masked_lm")
    student.save_pretrained(tmp_path / "student")
    given = {"model": str(tmp_path / "student"), "config": None}
    training = {"steps": 1, "batch_size": 8, "learning_rate": 1e-12}
    runs.finetune(recipe(tmp_path / "run", **given, training=training))
    tuned, before = weights(tmp_path / "run" / "model"), student.model.state_dict()
    body = [name for name in tuned if name.startswith("bert.") and "pooler" not in name]
    assert body and all(torch.allclose(tuned[name], before[name], atol=1e-9) for name in body)
    assert tuned["classifier.weight"].shape == (3, 16)


LEARNS = {"steps": 12, "batch_size": 8, "learning_rate": 0.01, "warmup": 0.0, "save_steps": 3, "logging_steps": 4}
CHOSEN = {**LEARNS, "metric_for_best_model": "accuracy"}


def _measured_as(monkeypatch: pytest.MonkeyPatch, scores: dict[int, float]) -> None:
    """Checkpoints get these scores, by step."""

    def build_trainer(*args: Any, **options: Any) -> Any:
        trainer = set_up.build_trainer(*args, **options)
        trainer._measure = lambda: {"accuracy": scores[trainer.state.global_step]}
        return trainer

    monkeypatch.setattr(runs, "build_trainer", build_trainer)


def test_the_best_checkpoint_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights after 3 and 6 steps are those of trainings that are interrupted there."""
    _measured_as(monkeypatch, {3: 0.1, 6: 0.9, 9: 0.5, 12: 0.2})
    found = runs.finetune(recipe(tmp_path / "chosen", training=CHOSEN))
    assert found.scores[0].best_step == 6 and found.scores[0].steps == 12
    _measured_as(monkeypatch, {3: 0.1, 6: 0.2, 9: 0.5, 12: 0.9})
    assert runs.finetune(recipe(tmp_path / "last", training=CHOSEN)).scores[0].best_step == 12
    monkeypatch.undo()
    plain = runs.finetune(recipe(tmp_path / "plain", training=LEARNS))
    assert plain.scores[0].best_step is None
    assert equal(tmp_path / "plain" / "model", tmp_path / "last" / "model")
    assert not equal(tmp_path / "plain" / "model", tmp_path / "chosen" / "model")


@pytest.mark.parametrize("step", [7, 12])
def test_the_best_checkpoint_is_kept_by_a_run_that_was_interrupted_and_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    scores = {3: 0.1, 6: 0.9, 9: 0.5, 12: 0.2}
    _measured_as(monkeypatch, scores)
    runs.finetune(recipe(tmp_path / "whole", training=CHOSEN))
    whole = runs.build_trainer

    def build_trainer(*args: Any, **options: Any) -> Any:
        trainer = whole(*args, **options)
        trainer.add_callback(Interrupt(step, after_saving=step == 12))
        return trainer

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runs, "build_trainer", build_trainer)
        runs.finetune(recipe(tmp_path / "before", training=CHOSEN))
    shutil.move(tmp_path / "before", tmp_path / "after")
    found = runs.finetune(recipe(tmp_path / "after", training=CHOSEN))
    assert found.scores[0].best_step == 6
    assert equal(tmp_path / "after" / "model", tmp_path / "whole" / "model")


def test_frozen_parameters_stay_and_checkpointing_changes_nothing(tmp_path: Path) -> None:
    frozen = {**LEARNS, "steps": 3, "freeze": ["*position_embeddings*"]}
    runs.finetune(recipe(tmp_path / "one", training=frozen))
    runs.finetune(recipe(tmp_path / "other", training={**frozen, "activation_checkpointing": True}))
    runs.finetune(recipe(tmp_path / "free", training={**LEARNS, "steps": 3}))
    name = "bert.embeddings.position_embeddings.weight"
    one, other, free = (weights(tmp_path / run / "model") for run in ("one", "other", "free"))
    asked, part = recipe(tmp_path), recipe(tmp_path).learner(0)
    untrained = build_teacher(part, build_data(asked.data, part), "student")
    assert torch.equal(one[name], untrained.model.state_dict()[name]) and not torch.equal(free[name], one[name])
    assert all(torch.allclose(tensor, other[key], atol=1e-6) for key, tensor in one.items())


def test_every_fault_is_told_before_anything_is_written(tmp_path: Path) -> None:
    output = tmp_path / "run"
    with pytest.raises(ValueError, match="no checkpoint 'nowhere/at-all'"):
        runs.finetune(recipe(output, model="nowhere/at-all", config=None))
    with pytest.raises(ValueError, match="batch_size is 64, but there are 40 training examples"):
        runs.finetune(recipe(output, training={"steps": 1, "batch_size": 64}))
    with pytest.raises(ValueError, match=r"^config: .*"):
        runs.finetune(recipe(output, config={"model_type": "bert", "hidden_size": 15, "num_attention_heads": 2}))
    with pytest.raises(ValueError, match=r"data.max_length is 11, but .* has 8 positions"):
        runs.finetune(recipe(output, config={**RECIPE["config"], "max_position_embeddings": 8}))
    assert not output.exists()


def test_an_input_in_the_output_folder_is_refused(tmp_path: Path) -> None:
    HookedModel.save_pretrained(planted_model(), tmp_path / "run" / "model")
    with pytest.raises(ValueError, match=r"model is .*, which lies in that folder"):
        runs.finetune(recipe(tmp_path / "run", model=str(tmp_path / "run" / "model"), config=None))


def test_the_command_line_prints_the_table_and_evaluates_the_models(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(recipe(tmp_path / "run").to_yaml())
    done = CliRunner().invoke(app, ["finetune", str(tmp_path / "r.yaml"), "--set", "seeds=[0, 1]"])
    assert done.exit_code == 0, done.output
    assert "accuracy" in done.output and "mean" in done.output and "finetune.json" in done.output
    stored = json.loads((tmp_path / "run" / "finetune.json").read_text())
    measured = evaluate_task(tmp_path / "run", "planted", limit=12, max_length=11)
    assert [row["model"] for row in measured] == ["seed0", "seed1"]
    assert [row["metrics"] for row in measured] == [each["metrics"] for each in stored["scores"]]
    shown = CliRunner().invoke(app, ["report", str(tmp_path / "run")])
    assert shown.exit_code == 0 and shown.output.strip() in done.output
    other = CliRunner().invoke(app, ["report", str(tmp_path / "run"), str(tmp_path / "run")])
    assert other.exit_code == 2 and "holds a fine-tuning, which has no students to verify" in other.output
