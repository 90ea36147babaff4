"""A run: a recipe trained and verified in a folder. An unfinished run continues; a finished one has a report.

    runs/NAME/recipe.yaml       the complete recipe            runs/NAME/student/      stock checkpoints
    runs/NAME/alignment.yaml    the alignment it was made with runs/NAME/teacher/      stock checkpoint, if it was trained
    runs/NAME/metrics.jsonl     every term while training      runs/NAME/report.json   written last, in one step
"""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.trainer_utils import get_last_checkpoint

from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment
from causalkd.build import (
    INTERCHANGING,
    Data,
    build_alignment,
    build_data,
    build_masking,
    build_objectives,
    build_student,
    build_teacher,
    build_trainer,
)
from causalkd.data.pairing import evaluation_pairs, pair_batches
from causalkd.models.hooked import HookedModel
from causalkd.models.load import check_pair, load_model
from causalkd.objectives.base_run import Weighted
from causalkd.objectives.response_kd import TaskLoss
from causalkd.recipe import Recipe
from causalkd.recipe_parts import StudentPart
from causalkd.training.callbacks import read_rows
from causalkd.training.compute import BlockForwards
from causalkd.verification.behaviour import behaviour
from causalkd.verification.interchange_accuracy import measure_all
from causalkd.verification.report import StudentResult, TeacherResult, VerificationReport, environment
from causalkd.verification.scores import differences

Page = Callable[[VerificationReport, list[dict[str, Any]]], str]
"""Makes a page of a report and the rows of metrics.jsonl."""


@dataclass(frozen=True)
class RunFolder:
    """Where the parts of a run lie."""

    path: Path

    @property
    def report(self) -> Path:
        """The report; a run is finished when it exists."""
        return self.path / "report.json"

    @property
    def recipe(self) -> Path:
        """The complete recipe."""
        return self.path / "recipe.yaml"

    @property
    def alignment(self) -> Path:
        """The alignment."""
        return self.path / "alignment.yaml"

    @property
    def metrics(self) -> Path:
        """The terms of every training, as JSON lines."""
        return self.path / "metrics.jsonl"

    @property
    def teacher(self) -> Path:
        """The trained teacher's checkpoint."""
        return self.path / "teacher"

    def student(self, recipe: Recipe, name: str, seed: int) -> Path:
        """A student's checkpoint: `student/` itself where the recipe trains just one."""
        if len(recipe.students) * len(recipe.seeds) == 1:
            return self.path / "student"
        return self.path / "student" / f"{name}-seed{seed}"

    def work(self, name: str) -> Path:
        """Where a training keeps what it can resume from; gone when it is done."""
        return self.path / "unfinished" / name

    def cost(self, name: str) -> Path:
        """What a training cost."""
        return self.path / "costs" / f"{name}.json"


def distill(recipe: Recipe, *, overwrite: bool = False, page: Page | None = None) -> VerificationReport:
    """Trains what the recipe names and verifies it; an interrupted run of the same recipe continues where it was.

    Everything that can be wrong with the recipe, the data and the models is found before anything is trained.

    Args:
        recipe: What to do.
        overwrite: Delete an earlier run in the folder.
        page: Makes report.html; None writes none.

    Raises:
        ValueError: A fault in the recipe, or the folder holds another or a finished run.
    """
    data, alignment = _rehearse(recipe)
    folder = _open(recipe, alignment, overwrite)
    teacher = _teacher(recipe, data, folder)
    for seed in recipe.seeds:
        for part in recipe.students:
            _train_student(recipe, part, seed, data, teacher, alignment, folder)
    shutil.rmtree(folder.path / "unfinished", ignore_errors=True)
    return verify(folder.path, page=page)


def verify(path: str | Path, *, page: Page | None = None) -> VerificationReport:
    """Measures the students of a run on held-out pairs and writes its report.

    Args:
        path: The run folder.
        page: Makes report.html; None writes none.

    Raises:
        ValueError: The folder holds no run, or one whose training is unfinished.
    """
    folder = RunFolder(Path(path))
    recipe = _read_run(folder)
    data = build_data(recipe.data, recipe.teacher)
    alignment = Alignment.from_yaml(folder.alignment)
    teacher = _load(folder.teacher if recipe.teacher.training else recipe.teacher.model, data, "teacher")
    trained = [(part, seed) for part in recipe.students for seed in recipe.seeds]
    students = [_load(folder.student(recipe, part.name, seed), data, "student") for part, seed in trained]
    report = _measure(recipe, data, alignment, teacher, list(zip(trained, students, strict=True)), folder)
    if page is not None:
        _replace(folder.path / "report.html", page(report, read_rows(folder.metrics)))
    report.write(folder.report)
    return report


def _rehearse(recipe: Recipe) -> tuple[Data, Alignment]:
    """Builds everything once, untrained, so that every fault is met before a folder is made."""
    data = build_data(recipe.data, recipe.teacher)
    teacher = build_teacher(recipe.teacher, data, "teacher")
    alignments = []
    for part in recipe.students:
        student = build_student(part, teacher, data.labels, recipe.seeds[0])
        check_pair(teacher, student)
        alignments.append(build_alignment(recipe.alignment, teacher, student))
        build_objectives(part.objectives, alignments[-1], teacher, student, recipe.seeds[0])
        for model in (teacher, student):
            _check_length(recipe, model)
    if any(alignment != alignments[0] for alignment in alignments):
        raise ValueError(
            f"alignment {recipe.alignment!r} means different layers for students of different depths; "
            "give them one depth, or a run each"
        )
    _verification_batches(recipe, data, alignments[0])
    return data, alignments[0]


def _check_length(recipe: Recipe, model: HookedModel) -> None:
    room = getattr(model.model.config, "max_position_embeddings", None)
    if room is not None and (recipe.data.max_length or 0) > room:
        raise ValueError(
            f"data.max_length is {recipe.data.max_length}, but {model} has {room} positions; set it to {room} or less"
        )


def _open(recipe: Recipe, alignment: Alignment, overwrite: bool) -> RunFolder:
    folder = RunFolder(recipe.folder)
    if overwrite and folder.recipe.is_file():
        shutil.rmtree(folder.path)
    if folder.path.exists() and any(folder.path.iterdir()):
        if folder.report.is_file():
            raise ValueError(f"{folder.path} holds a finished run; choose another `output`, or overwrite it (--overwrite)")
        if not folder.recipe.is_file() or Recipe.load(folder.recipe) != recipe:
            raise ValueError(f"{folder.path} holds something else than this recipe's run; choose another `output`")
        return folder
    folder.path.mkdir(parents=True, exist_ok=True)
    _replace(folder.alignment, alignment.to_yaml())
    _replace(folder.recipe, recipe.to_yaml())
    return folder


def _read_run(folder: RunFolder) -> Recipe:
    if not folder.recipe.is_file():
        raise ValueError(f"{folder.path} holds no run (no recipe.yaml); `causalkd distill RECIPE` makes one")
    recipe = Recipe.load(folder.recipe)
    wanted = [folder.student(recipe, part.name, seed) for part in recipe.students for seed in recipe.seeds]
    lacking = [str(path) for path in wanted if not (path / "config.json").is_file()]
    if lacking:
        raise ValueError(
            f"the run in {folder.path} is unfinished: {', '.join(lacking)} is not there yet; "
            "continue it with the same `causalkd distill` call"
        )
    return recipe


def _teacher(recipe: Recipe, data: Data, folder: RunFolder) -> HookedModel:
    part = recipe.teacher
    if part.training is None:
        return build_teacher(part, data, "teacher")
    if not folder.teacher.is_dir():
        learner = build_teacher(part, data, "student")
        trainer = build_trainer(
            recipe, part.training, data, learner, {"task": Weighted(1.0, TaskLoss())}, teacher=None, alignment=None,
            name="teacher", seed=part.seed, folder=folder.work("teacher"), metrics=folder.metrics,
        )  # fmt: skip
        _finish(trainer, folder, "teacher", folder.teacher)
    return _load(folder.teacher, data, "teacher")


def _train_student(
    recipe: Recipe, part: StudentPart, seed: int, data: Data, teacher: HookedModel, alignment: Alignment, folder: RunFolder
) -> None:
    goal, name = folder.student(recipe, part.name, seed), f"{part.name}-seed{seed}"
    if (goal / "config.json").is_file():
        return
    student = build_student(part, teacher, data.labels, seed)
    objectives = build_objectives(part.objectives, alignment, teacher, student, seed)
    exchanged = alignment if INTERCHANGING & set(objectives) else None
    trainer = build_trainer(
        recipe, recipe.training_of(part), data, student, objectives, teacher=teacher, alignment=exchanged,
        name=part.name, seed=seed, folder=folder.work(name), metrics=folder.metrics,
    )  # fmt: skip
    _finish(trainer, folder, name, goal)


def _finish(trainer: Any, folder: RunFolder, name: str, goal: Path) -> None:
    """Trains from the last checkpoint there is, and puts the finished model in place in one step."""
    work = folder.work(name)
    last = get_last_checkpoint(str(work)) if work.is_dir() else None
    counter, began = BlockForwards(), time.perf_counter()
    with counter.counting(trainer.student, trainer.teacher):
        trainer.train(resume_from_checkpoint=last)
    if not trainer.is_world_process_zero():
        return
    cost = {"block_forwards": counter.total, "seconds": time.perf_counter() - began, "resumed": last is not None}
    folder.cost(name).parent.mkdir(exist_ok=True)
    _replace(folder.cost(name), json.dumps(cost))
    draft = work / "finished"
    trainer.student.save_pretrained(draft)
    goal.parent.mkdir(parents=True, exist_ok=True)
    os.replace(draft, goal)
    shutil.rmtree(work)


def _load(origin: str | Path | None, data: Data, role: Any) -> HookedModel:
    assert origin is not None
    return load_model(origin, task=data.train.kind, role=role, labels=data.labels)


def _verification_batches(recipe: Recipe, data: Data, alignment: Alignment) -> list[Any]:
    part, examples = recipe.verification, data.heldout.examples
    possible = len(examples) * (len(examples) - 1)
    pad_id = data.tokenizer.pad_token_id
    assert isinstance(pad_id, int)
    return pair_batches(
        examples,
        evaluation_pairs(examples, min(part.pairs, possible), part.seed),
        alignment.policies(),
        part.batch_size,
        pad_id,
        "left" if data.tokenizer.padding_side == "left" else "right",
        part.seed,
        build_masking(data.heldout, data.tokenizer),
    )


def _measure(
    recipe: Recipe,
    data: Data,
    alignment: Alignment,
    teacher: HookedModel,
    students: list[tuple[tuple[StudentPart, int], HookedModel]],
    folder: RunFolder,
) -> VerificationReport:
    batches = _verification_batches(recipe, data, alignment)
    subjects = [(student, resolve(alignment, teacher, student)) for _, student in students]
    raise NotImplementedError


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)
