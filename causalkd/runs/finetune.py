"""A fine-tuning: a checkpoint is trained on a task without a teacher. An unfinished one continues.

runs/NAME/recipe.yaml       the complete recipe        runs/NAME/model/          stock checkpoints, by seed if several
runs/NAME/metrics.jsonl     the loss while training    runs/NAME/finetune.json   the scores, written last, in one step
runs/NAME/data.json         the data, by digest        runs/NAME/evaluations/    every prediction on the held-out split
"""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from accelerate import PartialState

from causalkd.files.manifest import MANIFEST
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import move_to
from causalkd.processes.processes import Processes, all_processes
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.runs.costs.step_counts import steps_of
from causalkd.runs.evaluation.stored import FOLDER, write_predictions
from causalkd.runs.evaluation.tasks import described, measured
from causalkd.runs.folder.inputs import check_inputs_outside, check_names_fit
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.stages import goals, model_stage
from causalkd.runs.setup.data import Data
from causalkd.runs.setup.opening import begin, hold
from causalkd.runs.setup.preflight import preflight_finetuning
from causalkd.runs.setup.prepare import batches_of, build_teacher
from causalkd.runs.setup.progress_bars import no_bars_in_logs
from causalkd.runs.setup.train import best_step, finish_training
from causalkd.runs.setup.trainer import build_trainer, task_only
from causalkd.runs.trained_run import load_trained_run
from causalkd.training.progress import PlannedTraining, RunProgress
from causalkd.verification.measures.environment import environment
from causalkd.verification.results.finetuning import FinetuneResults, SeedScores


@no_bars_in_logs()
def finetune(
    recipe: FinetuneRecipe, *, overwrite: bool = False, tell: Callable[[str], None] | None = None
) -> FinetuneResults:
    """Trains a model on a task with every seed and measures it; an interrupted run of the recipe continues.

    All faults of the recipe, the data and the model are reported before anything is trained. Started in several
    processes (torchrun, accelerate launch), they train together and share the measurement; the first one writes.

    Args:
        recipe: The recipe of the fine-tuning.
        overwrite: Replace an earlier run in the folder, which is set aside until the new one is done.
        tell: Receives a line about each split of the data, before training begins.

    Raises:
        ValueError: A fault in the recipe, or the folder holds another or a finished run.
    """
    folder, processes = RunFolder(recipe.folder), all_processes()
    tell = tell if processes.is_first else None
    check_inputs_outside(recipe)
    check_names_fit(recipe)
    with ExitStack() as held:
        is_held = hold(folder, held, overwrite)
        data = preflight_finetuning(recipe)
        begin(folder, held, recipe, data, is_held=is_held, overwrite=overwrite, tell=tell)
        whole = _progress(recipe, data, folder)
        for seed in recipe.seeds:
            _train(recipe, seed, data, folder, whole, tell)
        processes.in_first(partial(shutil.rmtree, folder.path / "unfinished", ignore_errors=True))
        found = _scored(recipe, data, folder, processes)

        def write() -> None:
            found.write(folder.finetuned)
            folder.settle()

        processes.in_first(write)
        return FinetuneResults.read(folder.finetuned)


def _progress(recipe: FinetuneRecipe, data: Data, folder: RunFolder) -> RunProgress:
    planned = PlannedTraining(steps_of(recipe.training, data), 1.0)
    found = goals(folder, recipe)
    done = [name for name, goal in found.items() if (goal / MANIFEST).is_file()]
    return RunProgress(dict.fromkeys(found, planned), done=done)


def _train(
    recipe: FinetuneRecipe,
    seed: int,
    data: Data,
    folder: RunFolder,
    whole: RunProgress,
    tell: Callable[[str], None] | None,
) -> None:
    goal, name = folder.model(recipe, seed), model_stage(seed)
    if (goal / MANIFEST).is_file():
        return
    learner = build_teacher(recipe.learner(seed), data, "student")
    trainer = build_trainer(
        recipe, recipe.training, data, learner, task_only(), teacher=None, alignment=None,
        name="model", seed=seed, folder=folder.work(name), metrics=folder.metrics, progress=whole.of(name),
    )  # fmt: skip
    finish_training(trainer, folder, name, goal, tell)
    whole.finish(name)


def _scored(recipe: FinetuneRecipe, data: Data, folder: RunFolder, processes: Processes) -> FinetuneResults:
    """The scores of every trained model on the held-out split; its predictions are written."""
    batches = batches_of(recipe.data, data.heldout, data.tokenizer, recipe.eval_batch_size)
    scores, split, measured_with = [], {}, {}
    for seed in recipe.seeds:
        origin, name = folder.model(recipe, seed), model_stage(seed)
        model = load_trained_run(origin, data, "teacher")
        _to_device(model)
        answers, metrics = measured(model, batches, data.heldout, processes)
        file = Path(FOLDER) / f"{name}-validation.parquet"
        processes.in_first(partial(write_predictions, answers, model.task, folder.path / file))
        cost, checkpoint = folder.read_cost(name), str(origin.relative_to(folder.path))
        spent = (cost.steps, cost.seconds, cost.block_forwards, best_step(folder, name))
        scores.append(SeedScores(seed, checkpoint, metrics, str(file), *spent))
        split, measured_with = described(data.heldout, answers), asdict(environment(model, seed))
    return FinetuneResults(
        name=recipe.name,
        model=recipe.model or f"fresh {(recipe.config or {}).get('model_type')}",
        task=recipe.data.data_name,
        metric=data.heldout.metric,
        split=split,
        scores=tuple(scores),
        environment=measured_with,
    )


def _to_device(model: HookedModel) -> None:
    device = PartialState().device
    assert isinstance(device, torch.device)
    move_to(model, device)
