"""The precomputation of a teacher's outputs for every batch that the trainings of a recipe will draw.

FOLDER/index.json, manifest.json, outputs-*.safetensors   see `causalkd.training.precomputed`
FOLDER/teacher/                                           the teacher's configuration and tokenizer, without weights
FOLDER/students/NAME-seedS/                               initial weights of students that are cut from the teacher
"""

import re
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor, nn

from causalkd.alignment.spec import Alignment
from causalkd.files.manifest import MANIFEST
from causalkd.files.whole_files import replace_folder
from causalkd.models.absent_teacher import describe_teacher
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import move_to
from causalkd.processes.processes import all_processes
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import StudentPart
from causalkd.runs.setup.data import Data
from causalkd.runs.setup.objectives import build_objectives
from causalkd.runs.setup.preflight import preflight, try_a_step
from causalkd.runs.setup.prepare import build_start, build_student
from causalkd.runs.setup.progress_bars import no_bars_in_logs
from causalkd.runs.setup.trainer import build_trainer
from causalkd.task_types import LANGUAGE_MODELS
from causalkd.training.precomputed import INDEX, PrecomputedOutputs, Shards, write_index
from causalkd.training.teacher_cache import digest_of, weights_digest
from causalkd.training.trainer import DistillationTrainer

TEACHER, STUDENTS = "teacher", "students"


@no_bars_in_logs()
def precompute(
    recipe: Recipe, folder: Path, *, top_k: int | None = None, tell: Callable[[str], None] | None = None
) -> None:
    """Writes the outputs of a recipe's teacher for every batch that its students will be trained on.

    With `teacher.outputs` set to the folder, the recipe then trains the same students without loading the teacher. A
    call that was stopped continues: outputs that have been written are not computed again. Started in several
    processes, each writes the outputs of its share of the batches.

    Costs all forwards of the teacher that the trainings need, each once, and a forward of every student per batch.

    Args:
        recipe: The recipe to train later; its teacher is a checkpoint.
        folder: The folder to write to.
        top_k: For a language model: keep this many predictions per token, and only the total probability of all others;
            None keeps all.
        tell: Receives a line about each part that is computed.

    Raises:
        ValueError: A fault in the recipe, its teacher's outputs cannot be known before training, or `top_k` is given
            for a teacher that is not a language model.
    """
    _check_can_be_known(recipe)
    _check_folder(folder)
    processes, device = all_processes(), PartialState().device
    prepared, alignment = preflight(recipe)
    data, teacher = prepared.data, prepared.teacher
    if top_k is not None and teacher.task not in LANGUAGE_MODELS:
        raise ValueError(
            f"--top-k keeps {top_k} predictions of a language model, and the teacher's task is {teacher.task}, whose "
            "few predictions are all kept; leave it out"
        )
    assert device is not None
    move_to(teacher, device)
    digest = digest_of(teacher)

    def begin() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (MANIFEST, INDEX):
            (folder / name).unlink(missing_ok=True)  # there is no index while outputs are incomplete
        replace_folder(folder / TEACHER, lambda draft: describe_teacher(teacher, draft))

    processes.in_first(begin)
    shards = Shards(folder, processes.rank)
    memory = PrecomputedOutputs(teacher, shards, digest, top_k=top_k, is_all=False)
    for seed in recipe.seeds:
        for part in recipe.students:
            name = f"{part.name}-seed{seed}"
            if processes.is_first:
                if tell is not None:
                    tell(f"outputs of the teacher for {name}")
                if part.model is None:
                    start = build_start(part, teacher, data, seed)
                    replace_folder(folder / STUDENTS / name, start.save_pretrained)
            _record(recipe, part, seed, data, alignment, teacher, memory)
            shards.flush()
    processes.wait()
    described = {"teacher": digest.hex(), "weights": weights_digest(teacher).hex(), "top_k": top_k}
    processes.in_first(partial(write_index, folder, **described, recipe=recipe.model_dump(mode="json")))


def _check_can_be_known(recipe: Recipe) -> None:
    faults = []
    if recipe.teacher.training is not None:
        faults.append("the teacher is to be trained first; train it, and name its folder as `teacher.model`")
    if recipe.teacher.outputs is not None:
        faults.append(f"`teacher.outputs` is {recipe.teacher.outputs!r} already; leave it out")
    if recipe.verification.eval_every_steps is not None:
        faults.append("`verification.eval_every_steps` measures the teacher while students train; leave it out")
    for part in recipe.students:
        training = recipe.training_of(part)
        if training.sequences is not None:
            faults.append(f"student {part.name!r} learns on sequences that a model writes; leave `sequences` out")
        if training.teacher_cache is not None:
            faults.append(f"student {part.name!r} has a `teacher_cache`, which would keep the same again; leave it out")
    if faults:
        raise ValueError("a teacher's outputs cannot be precomputed: " + "; ".join(faults))


def _check_folder(folder: Path) -> None:
    """Refuses a folder that holds something other than a teacher's outputs, finished or not."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, so outputs cannot be written there; choose another --out")
    ours = re.compile(rf"{re.escape(INDEX)}|{re.escape(MANIFEST)}|{TEACHER}|{STUDENTS}|outputs-.*\.safetensors|\..*")
    foreign = [entry.name for entry in folder.glob("*") if not ours.fullmatch(entry.name)]
    if foreign:
        raise ValueError(
            f"{folder} holds {', '.join(sorted(foreign)[:5])}, so it is not a folder of a teacher's outputs; choose "
            "another --out"
        )


def _record(
    recipe: Recipe,
    part: StudentPart,
    seed: int,
    data: Data,
    alignment: Alignment,
    teacher: HookedModel,
    memory: PrecomputedOutputs,
) -> None:
    """Goes through the batches of a training as the training will, without changing weights."""
    student = build_student(part, teacher, data, seed)
    objectives = build_objectives(part.objectives, alignment, teacher, student, seed)
    training = recipe.training_of(part).model_copy(update={"report_to": ()})
    with tempfile.TemporaryDirectory() as draft:
        trainer = build_trainer(
            recipe, training, data, student, objectives, teacher=teacher, alignment=alignment, name=part.name,
            seed=seed, folder=Path(draft) / "student", metrics=Path(draft) / "metrics.jsonl", memory=memory,
            made=_Recorder,
        )  # fmt: skip
        try_a_step(trainer)  # a training tries a step too before it begins
        trainer.train()


class _Recorder(DistillationTrainer):
    """Runs the teacher on every batch of a training, and changes no weight."""

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *_: Any) -> Tensor:
        with torch.no_grad(), self.compute_loss_context_manager():
            return self.compute_loss(model, self._prepare_inputs(inputs)).detach()

    def _save_checkpoint(self, *_: Any, **__: Any) -> None:
        """There is nothing to save."""
