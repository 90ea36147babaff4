"""One training of a run: continued from its last checkpoint, finished, and put in place in one step."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerState

from causalkd.errors import few
from causalkd.files.manifest import write_manifest
from causalkd.files.refusals import refused
from causalkd.files.whole_files import write_whole
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.sections import TrainingPart
from causalkd.runs.folder.checkpoints import CheckpointManifests, TrainingCost, resumable
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.measured_files import forget
from causalkd.runs.setup.interruption import Stopping
from causalkd.training.compute import BlockForwards
from causalkd.training.trainer import DistillationTrainer

_BEST = "best_step"


def finish_training(
    trainer: DistillationTrainer, folder: RunFolder, name: str, goal: Path, tell: Callable[[str], None] | None
) -> None:
    """Trains from the last checkpoint, if there is one, and puts the finished model in place in one step."""
    last = resumable(folder, name, tell)
    counter, stopping = BlockForwards(), Stopping()
    checkpoints = CheckpointManifests(counter, TrainingCost.until(last))
    trainer.add_callback(checkpoints)
    trainer.add_callback(stopping)
    with counter.counting(trainer.student, trainer.teacher), stopping.listening():
        if last is not None and _is_last_step(last):  # the Trainer would train a step too many
            trainer._load_from_checkpoint(str(last))
            trainer.state = TrainerState.load_from_json(str(last / "trainer_state.json"))
            if trainer.args.load_best_model_at_end and trainer.state.best_global_step:
                trainer._load_best_model()
            trainer.check_weights()
        else:
            trainer.train(resume_from_checkpoint=None if last is None else str(last))
    if trainer.is_world_process_zero():
        cost = {**vars(checkpoints.spent()), "steps": trainer.state.global_step}
        cost[_BEST] = trainer.state.best_global_step if trainer.args.load_best_model_at_end else None
        if trainer.args.load_best_model_at_end and not cost[_BEST] and tell is not None:
            metric = trainer.args.metric_for_best_model
            tell(f"{name}: {metric} was never a finite number, so the last weights are kept and not the best ones")
        folder.cost(name).parent.mkdir(exist_ok=True)
        write_whole(folder.cost(name), json.dumps(cost))
        forgotten = forget(folder, {name, goal.name})
        if forgotten and tell is not None:
            tell(f"{name} was trained anew, so what was measured of the earlier one is deleted: {few(forgotten)}")
        put_in_place(trainer.student, folder, name, goal)
    trainer.accelerator.wait_for_everyone()


def _is_last_step(checkpoint: Path) -> bool:
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    return state["global_step"] >= state["max_steps"]


def put_in_place(student: HookedModel, folder: RunFolder, name: str, goal: Path) -> None:
    """Moves a trained model and the files of its trackers to their final paths, and deletes the checkpoints."""
    work = folder.work(name)
    draft = work / "finished"
    shutil.rmtree(draft, ignore_errors=True)  # left by a process that was killed
    student.save_pretrained(draft)
    write_manifest(draft)
    if (work / "runs").is_dir():  # the files of trackers, which are added to those of an earlier training
        shutil.copytree(work / "runs", folder.tracked(name), dirs_exist_ok=True)
    goal.parent.mkdir(parents=True, exist_ok=True)
    os.replace(draft, goal)  # last: if the process is killed before it, the next call copies everything again
    shutil.rmtree(work)


def best_step(folder: RunFolder, name: str) -> int | None:
    """The step whose weights a training kept by their score on the held-out split; None if it kept the last ones."""
    return _cost(folder, name).get(_BEST)


def chosen_by(folder: RunFolder, name: str, training: TrainingPart | None) -> str | None:
    """The metric by which the weights of a training were chosen; None if it kept the last ones, for instance because
    the metric was never finite.
    """
    if training is None or _cost(folder, name).get(_BEST, 0) is None:  # without a record, the recipe decides
        return None
    return training.metric_for_best_model


def _cost(folder: RunFolder, name: str) -> dict[str, Any]:
    file = folder.cost(name)
    with refused(f"{file} is damaged", "put it back from a copy, or delete it: the step is then unknown"):
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
