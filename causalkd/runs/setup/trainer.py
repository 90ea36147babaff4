"""The builder of a recipe's trainer: its arguments, its data, and its reports while training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers import trainer as trainers
from transformers.trainer_callback import PrinterCallback

from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment
from causalkd.data.pairs.collator import ExampleSet
from causalkd.models.absent_teacher import AbsentTeacher
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.base import Weighted, hook_points_of
from causalkd.objectives.cached_predictions import OutputCache
from causalkd.objectives.response_kd import TaskLoss
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import TeacherCachePart, TrainingPart
from causalkd.runs.setup.data import Data, longest_row
from causalkd.runs.setup.objectives import interchanging
from causalkd.runs.setup.prepare import build_collator, build_pairs
from causalkd.runs.setup.sequences import on_policy, reply_ends
from causalkd.runs.setup.training_arguments import arguments, best_by, freeze
from causalkd.training.callbacks import EvaluateAtSave, MetricsFile, SetEpoch
from causalkd.training.precomputed import PrecomputedOutputs
from causalkd.training.progress import Progress, TrainingProgress
from causalkd.training.teacher_cache import TeacherCache
from causalkd.training.trainer import DistillationTrainer
from causalkd.verification.measures.monitor import LiveAccuracy

_LIVE_PAIRS = 200
_MEBIBYTE = 2**20


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
    progress: TrainingProgress | None = None,
) -> DistillationTrainer:
    """Build a trainer whose checkpoints are kept in `folder` and whose terms are written to the file `metrics`.

    The teacher's outputs are cached in `memory`, or as `training.teacher_cache` says. With an alignment, batches have
    sources and positions if an objective intervenes. `progress` shows the training as a part of the whole run.
    """
    intervening = interchanging(objectives)
    intervened = alignment if intervening else None
    longest = longest_row(recipe.data, data.tokenizer)
    sequences = on_policy(training.sequences, student, teacher, longest, seed, reply_ends(recipe.data, data.tokenizer))
    _check_rows_are_free(recipe, training, intervening)
    freeze(student, training.freeze)
    if training.freeze and hook_points_of(objectives).second_order:
        student.model.enable_input_require_grads()  # maps need the gradient at the embedding output
    watch = None
    if isinstance(recipe, Recipe) and teacher is not None and alignment is not None:
        _check_outside(training, alignment, teacher, student)
        watch = _live(recipe, data, teacher, student, alignment)
    examples = ExampleSet(data.train.examples)
    trainer = made(
        student,
        objectives,
        teacher,
        sequences,
        memory or _memory(training.teacher_cache, teacher, folder),
        watch,
        best_by(training.metric_for_best_model, recipe.data, data, student),
        training.compile_blocks,
        args=arguments(training, folder, seed),
        train_dataset=examples,
        eval_dataset=ExampleSet(data.heldout.examples),
        data_collator=build_collator(recipe.data, data.train, data.tokenizer, intervened, seed),
        callbacks=[SetEpoch(examples), MetricsFile(metrics, name, seed), EvaluateAtSave()],
    )
    _check_is_whole(is_sharded=trainer.is_fsdp_enabled)
    if intervened is not None and recipe.data.sources == "batch":
        _check_groups(recipe.data.group, training, trainer.args.world_size)
    for loud in (trainers.DEFAULT_PROGRESS_CALLBACK, PrinterCallback):  # the first is another one in a notebook
        trainer.remove_callback(loud)
    role = "" if teacher is None else "student "
    trainer.add_callback(Progress(f"{role}{name}, seed {seed}", progress))
    return trainer


def _check_outside(training: TrainingPart, alignment: Alignment, teacher: HookedModel, student: HookedModel) -> None:
    """Refuses compiled blocks if accuracies are measured inside them during training."""
    if not training.compile_blocks:
        return
    sites = [site for pair in resolve(alignment, teacher, student).pairs for site in pair.student]
    points = [each.hook_point for site in sites for each in (site, site.source or site) if each.hook_point.is_inside]
    if points:
        raise ValueError(
            f"training.compile_blocks is true, but the alignment names {points[0].name}, inside a block; accuracies "
            "during training need a hook there, which compiled code would skip; align block outputs or leave it out"
        )


def _check_is_whole(*, is_sharded: bool) -> None:
    if is_sharded:
        raise ValueError(
            "FSDP is switched on, but a run's checkpoints are made by processes that hold the whole student; leave "
            "FSDP out (accelerate launch without --use_fsdp, or torchrun), or train with `DistillationTrainer` in "
            "Python, whose `save_model` writes a stock checkpoint of a sharded student"
        )


def _memory(part: TeacherCachePart | None, teacher: HookedModel | None, folder: Path) -> TeacherCache | None:
    if isinstance(teacher, AbsentTeacher):
        return PrecomputedOutputs.read(teacher.folder.parent, teacher)
    if part is None or teacher is None:
        return None
    if teacher.task == "masked_lm":
        raise ValueError(
            "training.teacher_cache keeps outputs for rows that are used again, but a masked LM masks them anew in "
            "every epoch; leave it out"
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
    sites = resolve(alignment, teacher, student)
    return LiveAccuracy(teacher, student, sites, batches, part.eval_every_steps, part.tolerance)


def _check_rows_are_free(recipe: Recipe | FinetuneRecipe, training: TrainingPart, intervening: Sequence[str]) -> None:
    """Refuses a combination of packing, written responses and interventions: each changes the tokens of a row."""
    uses = ["data.packing"] if recipe.data.packing else []
    written = training.sequences
    if written is not None and (written.generator != "teacher" or recipe.data.packing):
        uses.append(f"training.sequences of generator {written.generator!r}")
    uses += [f"the objective {name}" for name in intervening[:1]]
    if len(uses) > 1:
        raise ValueError(
            f"{' and '.join(uses)} cannot be combined: each of them changes which tokens a row holds; keep only one"
        )


def _check_groups(group: int, training: TrainingPart, processes: int) -> None:
    """Refuses micro-batches that cut a group of rows, since sources would then depend on the cut."""
    parts = training.gradient_accumulation * processes
    if parts > 1 and training.batch_size % group:
        raise ValueError(
            f"a step has {parts} micro-batches of {training.batch_size} rows, and an interchange's sources are drawn "
            f"in groups of data.group = {group} rows, which they would cut; set batch_size to a multiple of it, "
            "data.group to a divisor of batch_size, or data.sources to 'dataset'"
        )
