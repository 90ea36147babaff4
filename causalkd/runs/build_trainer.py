"""Build the trainer of a recipe: its arguments, its data and what it reports while training."""

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

import torch
from transformers import TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment
from causalkd.data.pairs.collator import ExampleSet
from causalkd.errors import nearest
from causalkd.models.absent import AbsentTeacher
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.base import Weighted
from causalkd.objectives.cached_predictions import OutputCache
from causalkd.objectives.response_kd import TaskLoss
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import TeacherCachePart, TrainingPart
from causalkd.runs.build_objectives import interchanging
from causalkd.runs.build_sequences import on_policy, reply_ends
from causalkd.runs.prepare import Data, build_collator, build_pairs, longest_row
from causalkd.training.callbacks import EpochOfData, MetricsFile, Progress
from causalkd.training.precomputed import PrecomputedOutputs
from causalkd.training.teacher_cache import TeacherCache
from causalkd.training.trainer import DistillationTrainer
from causalkd.verification.measures.monitor import LiveAccuracy

_LIVE_PAIRS = 200
_MEBIBYTE = 2**20
_PRECISIONS = {"float32": {}, "bfloat16": {"bf16": True}, "float16": {"fp16": True}}


def task_only() -> dict[str, Weighted]:
    """The objectives that a teacher is trained on."""
    return {"task": Weighted(1.0, TaskLoss())}


def build_trainer(
    recipe: Recipe | FinetuneRecipe,
    training: TrainingPart,
    data: Data,
    student: HookedModel,
    objectives: Mapping[str, Weighted],
    *,
    teacher: HookedModel | None,
    alignment: Alignment | None,
    name: str,
    seed: int,
    folder: Path,
    metrics: Path,
    memory: OutputCache | None = None,
    made: type[DistillationTrainer] = DistillationTrainer,
) -> DistillationTrainer:
    """Build a trainer whose checkpoints are kept in `folder` and whose terms are written to the file `metrics`.

    What the teacher says is remembered in `memory`, or as the training part asks.
    With an alignment, batches have sources and positions where an objective intervenes.
    """
    intervening = interchanging(objectives)
    intervened = alignment if intervening else None
    longest = longest_row(recipe.data, data.tokenizer)
    sequences = on_policy(training.sequences, student, teacher, longest, seed, reply_ends(recipe.data, data.tokenizer))
    _check_rows_are_free(recipe, training, intervening)
    watch = None
    if isinstance(recipe, Recipe) and teacher is not None and alignment is not None:
        watch = _live(recipe, data, teacher, student, alignment)
    examples = ExampleSet(data.train.examples)
    trainer = made(
        student,
        objectives,
        teacher,
        sequences,
        memory or _memory(training.teacher_cache, teacher, folder),
        watch,
        args=_arguments(training, folder, seed),
        train_dataset=examples,
        data_collator=build_collator(recipe.data, data.train, data.tokenizer, intervened, seed),
        callbacks=[EpochOfData(examples), MetricsFile(metrics, name, seed)],
    )
    if intervened is not None and recipe.data.sources == "batch":
        _check_groups(recipe.data.group, training, trainer.args.world_size)
    for loud in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(loud)
    trainer.add_callback(Progress(f"{name} (seed {seed})"))
    return trainer


def _memory(part: TeacherCachePart | None, teacher: HookedModel | None, folder: Path) -> TeacherCache | None:
    if isinstance(teacher, AbsentTeacher):
        return PrecomputedOutputs.read(teacher.folder.parent, teacher)
    if part is None or teacher is None:
        return None
    if teacher.task == "masked_lm":
        raise ValueError(
            "training.teacher_cache keeps outputs for rows that come again, but a masked LM masks them again in every "
            "epoch; leave it out"
        )
    path = None
    if part.on_disk:
        folder.parent.mkdir(parents=True, exist_ok=True)
        path = folder.parent / "teacher_cache.sqlite"
    return TeacherCache(teacher, part.max_mib * _MEBIBYTE, path, top_k=part.top_k, states=part.states)


def _live(
    recipe: Recipe, data: Data, teacher: HookedModel, student: HookedModel, alignment: Alignment
) -> LiveAccuracy | None:
    """The monitor of the student during training; before training, all examples count as correctly predicted."""
    part = recipe.verification
    if part.eval_every_steps is None:
        return None
    few = part.model_copy(update={"pairs": min(part.pairs, _LIVE_PAIRS)})
    batches = build_pairs(recipe.model_copy(update={"verification": few}), data, alignment)
    return LiveAccuracy(teacher, student, resolve(alignment, teacher, student), batches, part.eval_every_steps)


def _check_rows_are_free(recipe: Recipe | FinetuneRecipe, training: TrainingPart, intervening: Sequence[str]) -> None:
    """Refuses a combination of packing, written responses and interventions: each decides the contents of a row."""
    uses = ["data.packing"] if recipe.data.packing else []
    written = training.sequences
    if written is not None and (written.generator != "teacher" or recipe.data.packing):
        uses.append(f"training.sequences of generator {written.generator!r}")
    uses += [f"the objective {name}" for name in intervening[:1]]
    if len(uses) > 1:
        raise ValueError(
            f"{' and '.join(uses)} cannot be combined: each decides the contents of a row; leave out all but one"
        )


def _check_groups(group: int, training: TrainingPart, processes: int) -> None:
    """Refuses micro-batches that cut a group of rows: then sources would depend on where it is cut."""
    parts = training.gradient_accumulation * processes
    if parts > 1 and training.batch_size % group:
        raise ValueError(
            f"a step has {parts} micro-batches of {training.batch_size} rows, and an interchange's sources are drawn "
            f"in groups of data.group = {group} rows, which they would cut; set batch_size to a multiple of it, "
            "data.group to a divisor of batch_size, or data.sources to 'dataset'"
        )


def _check_trackers(names: Sequence[str]) -> None:
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
    return bool(import_module("wandb").login(prompt=False))  # imported only where a recipe asks for it


def _arguments(training: TrainingPart, folder: Path, seed: int) -> TrainingArguments:
    _check_trackers(training.report_to)
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
        logging_nan_inf_filter=False,  # It would hide a loss that is not a number, and copy each to the host.
        save_steps=training.save_steps,
        save_total_limit=2,  # One stays complete while the next is written.
        report_to=list(training.report_to) or "none",
        seed=seed,
        dataloader_drop_last=True,
        dataloader_pin_memory=torch.accelerator.is_available(),
        remove_unused_columns=False,
        disable_tqdm=False,
        use_cpu=not torch.accelerator.is_available(),
        **length,
        **_PRECISIONS[training.precision],
    )
