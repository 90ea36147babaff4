"""A run: a recipe trained and verified in a folder. An unfinished run continues; a finished one has a report.

runs/NAME/recipe.yaml       the complete recipe            runs/NAME/student/      stock checkpoints
runs/NAME/alignment.yaml    the alignment it was made with runs/NAME/teacher/      stock checkpoint, if it was trained
runs/NAME/metrics.jsonl     every term while training      runs/NAME/report.json   written last, in one step
runs/NAME/report.md, .html  the same for people            and a model card in every student's folder
runs/NAME/data.json         which data, by rows and digest runs/NAME/replaced/     the run that this one replaces
"""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerState

from causalkd.alignment.spec import Alignment
from causalkd.attribution.maps import AttributionMap
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import StudentPart
from causalkd.reporting.markdown import as_markdown, model_card
from causalkd.runs.build_objectives import build_objectives
from causalkd.runs.build_sequences import reply_ends, taught_data
from causalkd.runs.build_trainer import build_trainer, task_only
from causalkd.runs.checkpoints import Spent, WholeCheckpoints, resumable
from causalkd.runs.data_identity import changed_data, write_identity
from causalkd.runs.folder import RunFolder, write_whole
from causalkd.runs.inputs import check_inputs_outside, check_names_fit
from causalkd.runs.interruption import Stopping
from causalkd.runs.lock import locked, working_alone
from causalkd.runs.manifest import MANIFEST, write_manifest
from causalkd.runs.map_files import first_maps
from causalkd.runs.preflight import preflight
from causalkd.runs.prepare import Data, build_student, longest_row
from causalkd.runs.prepared import Prepared
from causalkd.runs.stages import begun, differences
from causalkd.runs.trained_run import TrainedRun, load_trained_run
from causalkd.runs.verify import verified
from causalkd.training.callbacks import read_rows
from causalkd.training.compute import BlockForwards
from causalkd.training.trainer import DistillationTrainer
from causalkd.verification.results.report import VerificationReport

Page = Callable[[VerificationReport, list[dict[str, Any]], dict[str, AttributionMap]], str]
"""Makes a page of a report, the rows of metrics.jsonl and every model's attribution map, if there are any."""


def distill(
    recipe: Recipe, *, overwrite: bool = False, page: Page | None = None, tell: Callable[[str], None] | None = None
) -> VerificationReport:
    """Trains what the recipe names and verifies it; an interrupted run of the same recipe continues where it was.

    Everything that can be wrong with the recipe, the data and the models is found before anything is trained. Started
    in several processes (torchrun, accelerate launch) they train together; the first one writes and verifies.

    Args:
        recipe: What to do.
        overwrite: Delete an earlier run in the folder.
        page: Makes report.html; None writes none.
        tell: Is told in a line each what the data are, before training begins.

    Raises:
        ValueError: A fault in the recipe, or the folder holds another or a finished run.
    """
    folder, processes = RunFolder(recipe.folder), PartialState()
    check_inputs_outside(recipe)
    check_names_fit(recipe)
    with ExitStack() as held:
        if processes.is_main_process and folder.holds_anything():
            held.enter_context(locked(folder.path))
        if not overwrite:
            _refuse_finished(folder)
        prepared, alignment = preflight(recipe)
        data = prepared.data
        recipe = recipe.model_copy(update={"alignment": alignment})
        if processes.is_main_process:
            if not folder.holds_anything():
                _make(folder, held)
            _open(folder, recipe, data, alignment, overwrite)
            for split in (data.train, data.heldout):
                if tell is not None:
                    tell(split.summary())
        processes.wait_for_everyone()
        prepared = _train(recipe, prepared, alignment, folder, tell)
        if processes.is_main_process:
            shutil.rmtree(folder.path / "unfinished", ignore_errors=True)
            try:
                _verify(folder.path, page, prepared=prepared)
            except ValueError as error:
                raise ValueError(
                    f"{error}\nEverything is trained and kept; `verification` may be changed before the same "
                    "`causalkd distill` call continues here"
                ) from error
            folder.settle()
        processes.wait_for_everyone()
        return VerificationReport.read(folder.report)


@working_alone
def verify(
    path: str | Path,
    *,
    page: Page | None = None,
    accept_changed_data: bool = False,
    tell: Callable[[str], None] | None = None,
) -> VerificationReport:
    """Measures the students of a run on held-out pairs and writes its report.

    Args:
        path: The run folder.
        page: Makes report.html; None writes none.
        accept_changed_data: Measure on data other than those that the run was made with.
        tell: Is told in a line each how the data differ.

    Raises:
        ValueError: The folder holds no run, or one whose training is unfinished, or whose data have changed.
    """
    return _verify(path, page, accept_changed_data, tell)


def _verify(
    path: str | Path,
    page: Page | None,
    accept_changed_data: bool = False,
    tell: Callable[[str], None] | None = None,
    prepared: Prepared | None = None,
) -> VerificationReport:
    run = TrainedRun.load(path, accept_changed_data, prepared)
    if tell is not None:
        for line in changed_data(run.folder, run.data).values():
            tell(f"other data than the run's: {line}")
    report = verified(run)
    write_pages(page, report, run.folder)
    for part, seed, _ in run.students:
        (result,) = (each for each in report.students if (each.name, each.seed) == (part.name, seed))
        write_whole(run.folder.student(run.recipe, part.name, seed) / "README.md", model_card(report, result))
    report.write(run.folder.report)
    return report


def write_pages(page: Page | None, report: VerificationReport, folder: RunFolder) -> None:
    """Writes report.md and, if there is something that makes it, report.html."""
    write_whole(folder.path / "report.md", as_markdown(report))
    if page is not None:
        write_whole(folder.path / "report.html", page(report, read_rows(folder.metrics), first_maps(folder)))


def _refuse_finished(folder: RunFolder) -> None:
    if folder.report.is_file():
        raise ValueError(f"{folder.path} holds a finished run; choose another `output`, or overwrite it (--overwrite)")


def _make(folder: RunFolder, held: ExitStack) -> None:
    """Makes the folder, empty, and keeps other processes out of it."""
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        held.enter_context(locked(folder.path))
    except OSError as error:
        raise ValueError(f"no run can be put into {folder.path}: {error}; choose another `output`") from error


def _open(folder: RunFolder, recipe: Recipe, data: Data, alignment: Alignment, overwrite: bool) -> None:
    """Begins a run, or sees that the folder holds an unfinished one that can continue with this recipe."""
    if not folder.hardly_begun():
        if overwrite:
            folder.set_aside()
        elif folder.recipe.is_file():
            _refuse_finished(folder)
            _continue(folder, recipe, data, alignment)
            return
        else:
            raise ValueError(f"{folder.path} holds something that is no run; choose another `output`")
    write_identity(folder, data)
    folder.start(recipe, alignment)


def _continue(folder: RunFolder, recipe: Recipe, data: Data, alignment: Alignment) -> None:
    """Lets an unfinished run go on with a recipe that may differ in what nothing trained so far depends on."""
    before = Recipe.load(folder.recipe)
    faults, changed = differences(folder, before, recipe), changed_data(folder, data)
    if recipe.data.eval_limit != before.data.eval_limit:
        changed.pop("heldout", None)
    if begun(folder, before) and not faults:
        faults += changed.values()
    if faults:
        raise ValueError(
            f"{folder.path} holds an unfinished run of another recipe ({folder.recipe}) or of other data: "
            f"{'; '.join(faults)}; go back to those, choose another `output`, or overwrite it (--overwrite)"
        )
    if recipe != before or changed:
        for shared in (
            *folder.path.glob("unfinished/teacher_cache.sqlite*"),
            *folder.path.glob("unfinished/*/*.jsonl"),
        ):
            shared.unlink()  # the teacher or the data that they were made of may be others now
    write_identity(folder, data)
    folder.start(recipe, alignment)


def _train(
    recipe: Recipe, prepared: Prepared, alignment: Alignment, folder: RunFolder, tell: Callable[[str], None] | None
) -> Prepared:
    """Trains all that is not trained yet; what was prepared, with the teacher as it is after its training."""
    prepared = Prepared(prepared.data, _teacher(recipe, prepared, folder, tell))
    for seed in recipe.seeds:
        for part in recipe.students:
            _train_student(recipe, part, seed, prepared.data, prepared.teacher, alignment, folder, tell)
    return prepared


def _teacher(recipe: Recipe, prepared: Prepared, folder: RunFolder, tell: Callable[[str], None] | None) -> HookedModel:
    part, data = recipe.teacher, prepared.data
    if part.training is None or prepared.learner is None:
        return prepared.teacher
    if not folder.teacher.is_dir():
        trainer = build_trainer(
            recipe, part.training, data, prepared.learner, task_only(), teacher=None, alignment=None,
            name="teacher", seed=part.seed, folder=folder.work("teacher"), metrics=folder.metrics,
        )  # fmt: skip
        _finish(trainer, folder, "teacher", folder.teacher, tell)
    return load_trained_run(folder.teacher, data, "teacher")


def _train_student(
    recipe: Recipe,
    part: StudentPart,
    seed: int,
    data: Data,
    teacher: HookedModel,
    alignment: Alignment,
    folder: RunFolder,
    tell: Callable[[str], None] | None,
) -> None:
    goal, name = folder.student(recipe, part.name, seed), f"{part.name}-seed{seed}"
    if (goal / MANIFEST).is_file():
        return
    student = build_student(part, teacher, data, seed)
    objectives = build_objectives(part.objectives, alignment, teacher, student, seed)
    training = recipe.training_of(part)
    longest = longest_row(recipe.data, data.tokenizer)
    data = taught_data(
        training.sequences, data, student, teacher, longest, folder.work("sequences"),
        reply_ends(recipe.data, data.tokenizer),
    )  # fmt: skip
    trainer = build_trainer(
        recipe, training, data, student, objectives, teacher=teacher, alignment=alignment,
        name=part.name, seed=seed, folder=folder.work(name), metrics=folder.metrics,
    )  # fmt: skip
    _finish(trainer, folder, name, goal, tell)


def _finish(
    trainer: DistillationTrainer, folder: RunFolder, name: str, goal: Path, tell: Callable[[str], None] | None
) -> None:
    """Trains from the last checkpoint there is, and puts the finished model in place in one step."""
    last = resumable(folder, name, tell)
    counter, stopping = BlockForwards(), Stopping()
    checkpoints = WholeCheckpoints(counter, Spent.until(last))
    trainer.add_callback(checkpoints)
    trainer.add_callback(stopping)
    with counter.counting(trainer.student, trainer.teacher), stopping.listening():
        if last is not None and _is_last_step(last):  # the Trainer would train a step too many
            trainer._load_from_checkpoint(str(last))
            trainer.state = TrainerState.load_from_json(str(last / "trainer_state.json"))
        else:
            trainer.train(resume_from_checkpoint=None if last is None else str(last))
    trainer.check_weights()
    if trainer.is_world_process_zero():
        cost = {**vars(checkpoints.spent()), "steps": trainer.state.global_step}
        folder.cost(name).parent.mkdir(exist_ok=True)
        write_whole(folder.cost(name), json.dumps(cost))
        _put_in_place(trainer.student, folder, name, goal)
    trainer.accelerator.wait_for_everyone()


def _is_last_step(checkpoint: Path) -> bool:
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    return state["global_step"] >= state["max_steps"]


def _put_in_place(student: HookedModel, folder: RunFolder, name: str, goal: Path) -> None:
    work = folder.work(name)
    draft = work / "finished"
    shutil.rmtree(draft, ignore_errors=True)  # what a process that was killed left
    student.save_pretrained(draft)
    write_manifest(draft)
    goal.parent.mkdir(parents=True, exist_ok=True)
    os.replace(draft, goal)
    if (work / "runs").is_dir():  # where trackers write that write files
        folder.tracked(name).parent.mkdir(exist_ok=True)
        os.replace(work / "runs", folder.tracked(name))
    shutil.rmtree(work)
