"""Every setting of a training arrives in transformers' arguments; what is frozen; how checkpoints are measured."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainingArguments

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.sections import TrainingPart
from causalkd.runs.setup import training_arguments
from causalkd.runs.setup.data import Data, build_data
from causalkd.runs.setup.prepare import build_teacher
from causalkd.runs.setup.training_arguments import arguments, best_by, freeze
from tests.runs.test_finetune import RECIPE


@pytest.fixture(scope="module")
def recipe() -> FinetuneRecipe:
    return FinetuneRecipe.parse(RECIPE)


@pytest.fixture(scope="module")
def data(recipe: FinetuneRecipe) -> Data:
    return build_data(recipe.data, recipe.learner(0))


@pytest.fixture
def student(recipe: FinetuneRecipe, data: Data) -> HookedModel:
    return build_teacher(recipe.learner(0), data, "student")


def _made(folder: Path, **training: Any) -> TrainingArguments:
    return arguments(TrainingPart.model_validate({"steps": 2, **training}), folder, 3)


def test_every_setting_arrives(tmp_path: Path) -> None:
    settings = {
        **{"batch_size": 8, "gradient_accumulation": 3, "learning_rate": 0.25, "weight_decay": 0.5, "warmup": 0.2},
        **{"schedule": "cosine", "max_grad_norm": 2.0, "logging_steps": 7, "save_steps": 9},
        **{"adam_beta1": 0.8, "adam_beta2": 0.98, "adam_epsilon": 1e-6, "activation_checkpointing": True},
    }
    args = _made(tmp_path, **settings)
    given = (args.per_device_train_batch_size, args.gradient_accumulation_steps, args.learning_rate, args.weight_decay)
    assert given == (8, 3, 0.25, 0.5)
    assert (args.warmup_steps, args.lr_scheduler_type, args.max_grad_norm) == (0.2, "cosine", 2.0)
    assert (args.logging_steps, args.save_steps, args.seed, args.output_dir) == (7, 9, 3, str(tmp_path))
    assert (args.adam_beta1, args.adam_beta2, args.adam_epsilon) == (0.8, 0.98, 1e-6)
    assert args.activation_checkpointing and args.activation_checkpointing_kwargs == {"use_reentrant": False}
    assert args.train_sampling_strategy == "random" and not args.bf16 and args.dataloader_drop_last
    assert args.eval_strategy == "no" and not args.load_best_model_at_end
    grouped = _made(tmp_path, group_by_length=True, precision="bfloat16")
    assert grouped.train_sampling_strategy == "group_by_length" and grouped.bf16


def test_a_launcher_does_not_train_in_another_precision_than_the_recipe_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    with pytest.raises(ValueError, match=r"mixed precision 'bf16' .* is float32; set it to bfloat16, or set mixed"):
        _made(tmp_path)
    assert _made(tmp_path, precision="bfloat16").mixed_precision == "bf16"
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp8")
    with pytest.raises(ValueError, match=r"mixed precision 'fp8' .* is float32; set mixed_precision to 'no' there"):
        _made(tmp_path)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    assert _made(tmp_path, precision="bfloat16").mixed_precision == "bf16" and _made(tmp_path).mixed_precision == "no"


@pytest.mark.parametrize(("metric", "greater"), [("accuracy", True), ("perplexity", False)])
def test_checkpoints_are_measured_when_they_are_saved(tmp_path: Path, metric: str, greater: bool) -> None:
    by_steps = _made(tmp_path, metric_for_best_model=metric, save_steps=4)
    assert (by_steps.eval_strategy, by_steps.eval_steps, by_steps.save_steps) == ("steps", 4, 4)
    by_epoch = _made(tmp_path, metric_for_best_model=metric, save_steps="epoch")
    assert (by_epoch.eval_strategy, by_epoch.save_strategy) == ("epoch", "epoch")
    for args in (by_steps, by_epoch):
        assert (args.metric_for_best_model, args.greater_is_better) == (metric, greater)
        assert args.load_best_model_at_end


def test_patterns_freeze_the_parameters_that_they_match(student: HookedModel) -> None:
    freeze(student, ["*position_embeddings*", "*.layer.0.*"])
    frozen = {name for name, weight in student.model.named_parameters() if not weight.requires_grad}
    assert frozen == {
        name for name, _ in student.model.named_parameters() if "position_embeddings" in name or ".layer.0." in name
    }
    assert "bert.embeddings.position_embeddings.weight" in frozen


def test_a_pattern_that_matches_nothing_or_everything_is_refused(student: HookedModel) -> None:
    with pytest.raises(ValueError) as error:
        freeze(student, ["*.position_embedding", "*wpe*", "*"])
    lines = str(error.value).splitlines()
    assert "matches '*.position_embedding'; names are such as bert.embeddings" in lines[0]
    assert "'*wpe*'" in lines[1] and "leave no parameter" in lines[2] and len(lines) == 3


def test_a_metric_is_measured_as_at_the_end(recipe: FinetuneRecipe, data: Data, student: HookedModel) -> None:
    measure = best_by("accuracy", recipe.data, data, student)
    assert measure is not None and 0 <= measure()["accuracy"] <= 1
    assert best_by(None, recipe.data, data, student) is None


def test_a_metric_that_the_task_lacks_is_refused(recipe: FinetuneRecipe, data: Data, student: HookedModel) -> None:
    with pytest.raises(ValueError, match=r"'f1', which is not measured for the task 'planted'; .*accuracy"):
        best_by("f1", recipe.data, data, student)


def test_trackers_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as caught:
        _made(tmp_path, report_to=["wandbb", "mlfow"])
    assert str(caught.value) == (
        "training.report_to: there is no tracker 'wandbb'; did you mean wandb?\n"
        "training.report_to: there is no tracker 'mlfow'; did you mean mlflow?"
    )


def test_no_tracker_is_looked_for_where_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for them imports those that are installed, such as wandb."""
    looked: list[None] = []
    monkeypatch.setattr(training_arguments, "get_available_reporting_integrations", lambda: looked.append(None) or [])
    assert _made(tmp_path).report_to == [] and not looked
    with pytest.raises(ValueError, match="'mlflow' is not installed"):
        _made(tmp_path, report_to=["mlflow"])
    assert len(looked) == 1


@pytest.mark.parametrize(("mode", "refused"), [(None, True), ("offline", False)])
def test_a_tracker_without_a_login_is_found_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str | None, refused: bool
) -> None:
    monkeypatch.setattr(training_arguments, "get_available_reporting_integrations", lambda: ["wandb"])
    monkeypatch.setattr(training_arguments, "import_module", lambda name: SimpleNamespace(login=lambda prompt: False))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if mode is not None:
        monkeypatch.setenv("WANDB_MODE", mode)
    if not refused:
        training_arguments._check_trackers(["wandb"])
        return
    with pytest.raises(ValueError, match=r"training.report_to: 'wandb' has no login; call `wandb login`"):
        _made(tmp_path, report_to=["wandb"])
