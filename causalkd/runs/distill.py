"""The training and verification of a recipe in a run folder. An unfinished run continues; a finished one has a report.

runs/NAME/recipe.yaml       the complete recipe            runs/NAME/student/      stock checkpoints
runs/NAME/alignment.yaml    the alignment it was made with runs/NAME/teacher/      stock checkpoint, if it was trained
runs/NAME/metrics.jsonl     every term while training      runs/NAME/report.json   written last, in one step
runs/NAME/report.md, .html  the same for readers           and a model card in every student's folder
runs/NAME/data.json         the data, by rows and digest   runs/NAME/replaced/     the run that this one replaces
"""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from causalkd.alignment.spec import Alignment
from causalkd.attribution.maps import AttributionMap
from causalkd.files.manifest import MANIFEST
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.processes.processes import FailedElsewhere, Processes, all_processes
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import StudentPart
from causalkd.reporting.markdown import as_markdown
from causalkd.reporting.model_card import model_card
from causalkd.runs.costs.plan import planned
from causalkd.runs.folder.inputs import check_inputs_outside, check_names_fit
from causalkd.runs.folder.layout import RunFolder, write_whole
from causalkd.runs.folder.lock import working_alone
from causalkd.runs.folder.map_files import first_maps
from causalkd.runs.folder.shared_teachers import place_teacher
from causalkd.runs.folder.stages import TEACHER, goals
from causalkd.runs.setup.data import Data, longest_row
from causalkd.runs.setup.hub_names import base_model, datasets
from causalkd.runs.setup.objectives import build_objectives
from causalkd.runs.setup.opening import begin, hold
from causalkd.runs.setup.preflight import preflight
from causalkd.runs.setup.prepare import build_student
from causalkd.runs.setup.prepared import Prepared
from causalkd.runs.setup.progress_bars import no_bars_in_logs
from causalkd.runs.setup.sequences import data_with_written_responses, reply_ends
from causalkd.runs.setup.source_files import source_digests
from causalkd.runs.setup.train import finish_training
from causalkd.runs.setup.trainer import build_trainer, task_only
from causalkd.runs.trained_run import TrainedRun, load_trained_run
from causalkd.runs.verify import verified
from causalkd.training.callbacks import read_rows
from causalkd.training.progress import RunProgress
from causalkd.verification.results.report import VerificationReport

Page = Callable[[VerificationReport, list[dict[str, Any]], dict[str, AttributionMap]], str]
"""Makes a page from a report, the rows of metrics.jsonl and every model's attribution map, if there are any."""


@no_bars_in_logs()
def distill(
    recipe: Recipe,
    *,
    overwrite: bool = False,
    page: Page | None = None,
    teachers: Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> VerificationReport:
    """Train the students of a recipe and verify them; an interrupted run of the same recipe continues where it stopped.

    All faults of the recipe, the data and the models are reported before anything is trained. Started
    in several processes (torchrun, accelerate launch) they train together and share the verification; the first one
    writes.

    Args:
        recipe: The recipe of the run.
        overwrite: Replace an earlier run in the folder, which is set aside until the new one is done.
        page: Makes report.html; None writes none.
        teachers: Store of trained teachers that several runs share; None trains one for this run alone.
        tell: Receives lines that describe the data, before training starts.

    Raises:
        ValueError: The recipe has a fault, or the folder holds another or a finished run.
    """
    folder, processes = RunFolder(recipe.folder), all_processes()
    tell = tell if processes.is_first else None
    check_inputs_outside(recipe)
    check_names_fit(recipe)
    with ExitStack() as held:
        is_held = hold(folder, held, overwrite)
        prepared, alignment = preflight(recipe)
        data = prepared.data
        recipe = recipe.model_copy(update={"alignment": alignment})
        begin(folder, held, recipe, data, alignment, is_held=is_held, overwrite=overwrite, tell=tell)
        plan = planned(recipe, data, prepared.teacher, alignment)
        if tell is not None:
            tell(plan.line())
        done = [name for name, goal in goals(folder, recipe).items() if (goal / MANIFEST).is_file()]
        prepared = _train(recipe, prepared, alignment, folder, teachers, plan.progress(done), tell)
        processes.in_first(partial(shutil.rmtree, folder.path / "unfinished", ignore_errors=True))
        try:
            # An absent teacher cannot be measured, so its checkpoint is read.
            known = prepared if recipe.teacher.outputs is None else None
            _verify(folder.path, page, processes, prepared=known)
        except FailedElsewhere:
            raise
        except ValueError as error:
            needed = ", and the teacher itself must be there again" if recipe.teacher.outputs is not None else ""
            raise ValueError(
                f"{error}\nAll models are trained and kept; you may change `verification`{needed} before the same "
                "`causalkd distill` call continues here"
            ) from error
        processes.in_first(folder.settle)
        return VerificationReport.read(folder.report)


@working_alone
@no_bars_in_logs()
def verify(
    path: str | Path,
    *,
    page: Page | None = None,
    accept_changed_data: bool = False,
    tell: Callable[[str], None] | None = None,
) -> VerificationReport:
    """Measure the students of a run on held-out pairs and write its report.

    Args:
        path: The run folder.
        page: Makes report.html; None writes none, and deletes that of an earlier report.
        accept_changed_data: Whether to measure with data, a teacher, settings or an alignment other than those that the
            run was made with.
        tell: Receives one line for each difference.

    Several processes (torchrun, accelerate launch) share the work; the first one writes.

    Raises:
        ValueError: The folder holds no run, or one whose training is unfinished, or whose data, teacher, settings or
            alignment have changed since it was made.
    """
    return _verify(path, page, all_processes(), accept_changed_data, tell)


def _verify(
    path: str | Path,
    page: Page | None,
    processes: Processes,
    accept_changed_data: bool = False,
    tell: Callable[[str], None] | None = None,
    prepared: Prepared | None = None,
) -> VerificationReport:
    run = TrainedRun.load(path, accept_changed_data, prepared)
    if tell is not None and processes.is_first:
        for line in run.changed:
            tell(f"not as the run was made: {line}")
    report = verified(run, processes)
    processes.in_first(partial(_write, page, report, run))
    return report


def _write(page: Page | None, report: VerificationReport, run: TrainedRun) -> None:
    """Writes the report, its pages and a card of every student."""
    write_pages(page, report, run.folder)
    for part, seed, _ in run.students:
        (result,) = (each for each in report.students if (each.name, each.seed) == (part.name, seed))
        card = model_card(report, result, base_model(run.recipe, part), datasets(run.recipe))
        write_whole(run.folder.student(run.recipe, part.name, seed) / "README.md", card)
    report.write(run.folder.report)


def write_pages(page: Page | None, report: VerificationReport, folder: RunFolder) -> None:
    """Write report.md and, if there is a page maker, report.html; a page of an earlier report goes."""
    write_whole(folder.path / "report.md", as_markdown(report))
    file = folder.path / "report.html"
    if page is None:
        file.unlink(missing_ok=True)
    else:
        write_whole(file, page(report, read_rows(folder.metrics), first_maps(folder)))


def _train(
    recipe: Recipe,
    prepared: Prepared,
    alignment: Alignment,
    folder: RunFolder,
    teachers: Path | None,
    whole: RunProgress,
    tell: Callable[[str], None] | None,
) -> Prepared:
    """Trains all models that are not trained yet; the prepared run with the trained teacher."""
    prepared = Prepared(prepared.data, _teacher(recipe, prepared, folder, teachers, whole, tell))
    for seed in recipe.seeds:
        for part in recipe.students:
            _train_student(recipe, part, seed, prepared.data, prepared.teacher, alignment, folder, whole, tell)
    return prepared


def _teacher(
    recipe: Recipe,
    prepared: Prepared,
    folder: RunFolder,
    teachers: Path | None,
    whole: RunProgress,
    tell: Callable[[str], None] | None,
) -> HookedModel:
    if recipe.teacher.training is None or prepared.learner is None:
        return prepared.teacher
    if not folder.teacher.is_dir():
        train = partial(_train_teacher, recipe, prepared.data, prepared.learner, whole, tell)
        if teachers is None:
            train(folder)
        else:
            sources = source_digests(recipe.model_copy(update={"students": ()}))
            place_teacher(recipe, folder, teachers, sources, train)
        whole.finish(TEACHER)  # also if it was trained by another run
    return load_trained_run(folder.teacher, prepared.data, "teacher", recipe.teacher)


def _train_teacher(
    recipe: Recipe,
    data: Data,
    learner: HookedModel,
    whole: RunProgress,
    tell: Callable[[str], None] | None,
    folder: RunFolder,
) -> None:
    part = recipe.teacher
    assert part.training is not None
    trainer = build_trainer(
        recipe, part.training, data.in_teachers_tokens(), learner, task_only(), teacher=None, alignment=None,
        name=TEACHER, seed=part.seed, folder=folder.work(TEACHER), metrics=folder.metrics, progress=whole.of(TEACHER),
    )  # fmt: skip
    finish_training(trainer, folder, TEACHER, folder.teacher, tell)


def _train_student(
    recipe: Recipe,
    part: StudentPart,
    seed: int,
    data: Data,
    teacher: HookedModel,
    alignment: Alignment,
    folder: RunFolder,
    whole: RunProgress,
    tell: Callable[[str], None] | None,
) -> None:
    goal, name = folder.student(recipe, part.name, seed), f"{part.name}-seed{seed}"
    if (goal / MANIFEST).is_file():
        return
    student = build_student(part, teacher, data, seed)
    objectives = build_objectives(part.objectives, alignment, teacher, student, seed)
    training = recipe.training_of(part)
    longest = longest_row(recipe.data, data.tokenizer)
    data = data_with_written_responses(
        training.sequences, data, student, teacher, longest, folder.work("sequences"),
        reply_ends(recipe.data, data.tokenizer),
    )  # fmt: skip
    trainer = build_trainer(
        recipe, training, data, student, objectives, teacher=teacher, alignment=alignment,
        name=part.name, seed=seed, folder=folder.work(name), metrics=folder.metrics, progress=whole.of(name),
    )  # fmt: skip
    finish_training(trainer, folder, name, goal, tell)
    whole.finish(name)
