"""The transformers TrainingArguments of a recipe's training: rates, length, and when checkpoints are written."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations

from causalkd.data.tasks.kinds import LESS_IS_BETTER
from causalkd.errors import nearest
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.sections import DataPart, TrainingPart
from causalkd.runs.setup.data import Data
from causalkd.runs.setup.prepare import batches_of
from causalkd.verification.measures.metrics import reported
from causalkd.verification.measures.task_metrics import evaluate

_PRECISIONS = {"float32": {}, "bfloat16": {"bf16": True}, "float16": {"fp16": True}}
_OF_ACCELERATE = {"bf16": "bfloat16", "fp16": "float16"}
"""The precisions by their names in accelerate."""
_EVALUATED = 64
"""Rows of a forward pass when a checkpoint is measured."""


def freeze(student: HookedModel, patterns: Sequence[str]) -> None:
    """Excludes the parameters whose names match a pattern, as for file names, from the training.

    Raises:
        ValueError: A pattern matches no parameter, or nothing is left to train; names every such pattern.
    """
    names = [name for name, _ in student.model.named_parameters()]
    faults = [
        f"training.freeze: no parameter of {student} matches {pattern!r}; names are such as {names[0]} and {names[-1]}"
        for pattern in patterns
        if not any(fnmatchcase(name, pattern) for name in names)
    ]
    for name, weight in student.model.named_parameters():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            weight.requires_grad_(False)
    if not any(weight.requires_grad for weight in student.model.parameters()):
        faults.append(f"training.freeze: {list(patterns)} leave no parameter of {student} to train; freeze fewer")
    if faults:
        raise ValueError("\n".join(faults))


def best_by(
    metric: str | None, part: DataPart, data: Data, student: HookedModel
) -> Callable[[], Mapping[str, float]] | None:
    """A function that measures a checkpoint by a metric of its task on the held-out split; None to keep the last
    weights.

    A metric that is not defined, such as a correlation with a constant, is worse than any number.

    Raises:
        ValueError: The task has no such metric.
    """
    if metric is None:
        return None
    heldout = data.heldout
    known = reported(heldout.metric, heldout.further)
    if metric not in known:
        raise ValueError(
            f"training.metric_for_best_model is {metric!r}, which is not measured for the task {part.data_name!r}; "
            f"{nearest(metric, list(known))}"
        )
    batches = batches_of(part, heldout, data.tokenizer, _EVALUATED)
    options = {"examples": heldout.examples, "further": heldout.further, "positive": heldout.positive}

    def measure() -> dict[str, float]:
        found = evaluate(student, batches, heldout.metric, **options).metrics[metric]
        return {metric: (math.inf if metric in LESS_IS_BETTER else -math.inf) if found is None else found}

    return measure


def _check_trackers(names: Sequence[str]) -> None:
    if not names:
        return  # the search for installed trackers imports them, which takes up to a second
    usable, known = get_available_reporting_integrations(), list(INTEGRATION_TO_CALLBACK)
    faults = [f"there is no tracker {name!r}; {nearest(name, known)}" for name in names if name not in known]
    faults += [
        f"tracker {name!r} is not installed; install its package, or choose from {', '.join(usable) or 'none'}"
        for name in names
        if name in known and name not in usable
    ]
    if "wandb" in names and "wandb" in usable and not _logged_in_to_wandb():
        faults.append("'wandb' has no login; call `wandb login`, or set WANDB_MODE=offline")
    if faults:
        raise ValueError("\n".join(f"training.report_to: {fault}" for fault in faults))


def _logged_in_to_wandb() -> bool:
    if os.environ.get("WANDB_MODE") in ("offline", "disabled"):
        return True
    return bool(import_module("wandb").login(prompt=False))  # imported only if it is needed


def _check_precision(precision: str) -> None:
    """Refuses another precision of accelerate's launcher than float32 if the recipe has float32, since the recipe is
    the run's record.
    """
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if precision == "float32" and launched != "no":
        instead = f"set it to {_OF_ACCELERATE[launched]}, or " if launched in _OF_ACCELERATE else ""
        raise ValueError(
            f"accelerate is set to mixed precision {launched!r} (by its configuration, `--mixed_precision` or "
            f"ACCELERATE_MIXED_PRECISION), and training.precision is float32; {instead}set "
            "mixed_precision to 'no' there"
        )


def arguments(training: TrainingPart, folder: Path, seed: int) -> TrainingArguments:
    """The arguments of a training for transformers.

    Raises:
        ValueError: A tracker does not exist or is not installed, or the launcher is set to another precision.
    """
    _check_trackers(training.report_to)
    _check_precision(training.precision)
    length = {"max_steps": training.steps} if training.steps else {"num_train_epochs": training.epochs or 3.0}
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=training.batch_size,
        gradient_accumulation_steps=training.gradient_accumulation,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        warmup_steps=training.warmup,
        lr_scheduler_type=training.schedule,
        max_grad_norm=training.max_grad_norm,
        train_sampling_strategy="group_by_length" if training.group_by_length else "random",
        logging_steps=training.logging_steps,
        logging_nan_inf_filter=False,  # it would hide a loss that is not a number, and copy each to the host
        adam_beta1=training.adam_beta1,
        adam_beta2=training.adam_beta2,
        adam_epsilon=training.adam_epsilon,
        activation_checkpointing=training.activation_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},  # hooks inside a block need a graph
        save_total_limit=2,  # one stays whole while the next is written
        report_to=list(training.report_to) or "none",
        seed=seed,
        dataloader_drop_last=True,
        dataloader_pin_memory=torch.accelerator.is_available(),
        remove_unused_columns=False,
        disable_tqdm=False,
        use_cpu=not torch.accelerator.is_available(),
        **length,
        **_PRECISIONS[training.precision],
        **_saving(training),
    )


def _saving(training: TrainingPart) -> dict[str, Any]:
    """The arguments for saving checkpoints, and for measuring them if the best one is kept."""
    by_epoch, metric = training.save_steps == "epoch", training.metric_for_best_model
    found: dict[str, Any] = {"save_strategy": "epoch"} if by_epoch else {"save_steps": training.save_steps}
    if metric is None:
        return found
    found |= {"eval_strategy": "epoch"} if by_epoch else {"eval_strategy": "steps", "eval_steps": training.save_steps}
    better = metric not in LESS_IS_BETTER
    return found | {"load_best_model_at_end": True, "metric_for_best_model": metric, "greater_is_better": better}
