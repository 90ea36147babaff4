"""A pipeline: stage 1 distils students, and stage 2 fine-tunes each on every task. An unfinished one continues.

runs/NAME/pipeline.yaml       the complete pipeline         runs/NAME/distill/RUN/          the runs of stage 1
runs/NAME/results.json, .md   the table, written last       runs/NAME/finetune/MODEL/TASK/  the runs of stage 2
runs/NAME/outdated.json       while runs are replaced: those that are not replaced yet
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

from causalkd.files.manifest import MANIFEST
from causalkd.files.refusals import refused
from causalkd.files.whole_files import write_whole
from causalkd.processes.processes import all_processes
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.pipeline import PipelineRecipe, Subject
from causalkd.recipe.recipe import Recipe
from causalkd.reporting.pipeline_table import pipeline_markdown
from causalkd.runs.distill import Page, distill
from causalkd.runs.finetune import finetune
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.stages import begun, differences
from causalkd.runs.setup.preflight import preflight, preflight_finetuning
from causalkd.runs.setup.prepare import build_student
from causalkd.runs.setup.prepared import Prepared
from causalkd.runs.setup.progress_bars import no_bars_in_logs
from causalkd.runs.setup.provenance import other_processes
from causalkd.runs.setup.source_files import changed_sources
from causalkd.runs.setup.without_effect import without_effect_in_tasks
from causalkd.verification.results.finetuning import FinetuneResults
from causalkd.verification.results.pipeline import ModelScores, PipelineResults, TaskScores
from causalkd.verification.results.report import VerificationReport

Tell = Callable[[str], None] | None
PIPELINE = "pipeline.yaml"
OUTDATED = "outdated.json"


@no_bars_in_logs()
def run_pipeline(
    recipe: PipelineRecipe, *, overwrite: bool = False, page: Page | None = None, tell: Tell = None
) -> PipelineResults:
    """Distils and fine-tunes everything that is not done yet, and writes the table.

    All runs of both stages are tried on two rows before anything is trained. Runs and tasks may be added to a finished
    or unfinished pipeline: models that were trained with the same recipes are kept.

    Args:
        recipe: The recipe of the pipeline.
        overwrite: Replace the runs that have changed or cannot continue, and all models fine-tuned from them.
        page: Makes report.html of each run of stage 1; None writes none.
        tell: Receives a line about each run.

    Raises:
        ValueError: A fault in the pipeline or one of its runs, or the folder holds runs of other recipes.
    """
    folder, processes = recipe.folder, all_processes()
    changed = _changed(recipe, _before(recipe), waiting := _outdated(folder))
    if changed and not overwrite:
        raise ValueError(
            f"{folder} holds runs from other files or with other settings than the pipeline has now: "
            f"{', '.join(changed)}; go back to those, choose another `output`, or replace these runs (--overwrite)"
        )
    outdated = list(dict.fromkeys([*waiting, *changed]))
    _preflight(recipe, outdated, tell)

    def begin() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _note(folder, outdated)  # first: once pipeline.yaml is replaced, nothing else distinguishes old and new runs
        write_whole(folder / PIPELINE, recipe.to_yaml())

    def replaced(name: str) -> None:
        if name in outdated:
            outdated.remove(name)
            processes.in_first(partial(_note, folder, outdated))

    processes.in_first(begin)
    _say(tell, *without_effect_in_tasks(recipe))
    runs = recipe.runs()
    for number, run in enumerate(runs, start=1):
        if run.name in outdated or not _done(run):
            _say(tell, f"stage 1, run {number} of {len(runs)}: {run.name}")
            # One that was being replaced when the pipeline was stopped continues.
            distill(run, overwrite=run.name in outdated and (overwrite or _done(run)), page=page, tell=tell)
            replaced(run.name)
    tunings = list(product(recipe.subjects(), recipe.finetune.tasks))
    for number, (subject, task) in enumerate(tunings, start=1):
        wanted, name = recipe.finetuning(subject, task), f"{subject.name}/{task}"
        if name in outdated or not _done(wanted):
            _say(tell, f"stage 2, run {number} of {len(tunings)}: {name}")
            # An unfinished folder may hold a checkpoint of the earlier student, which is then overwritten too.
            finetune(wanted, overwrite=name in outdated, tell=tell)
            replaced(name)
    found = _results(recipe)
    processes.in_first(partial(_write, folder, found))
    return found


def _write(folder: Path, found: PipelineResults) -> None:
    write_whole(folder / "results.md", pipeline_markdown(found))
    found.write(folder / "results.json")


def _say(tell: Tell, *lines: str) -> None:
    if tell is not None and all_processes().is_first:
        for line in lines:
            tell(line)


def _before(recipe: PipelineRecipe) -> PipelineRecipe | None:
    """The pipeline that the folder was begun with, with the present path of the folder, which may have moved."""
    folder = recipe.folder
    if not (folder / PIPELINE).is_file():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder} holds something that is not a pipeline; choose another `output`")
        return None
    before = PipelineRecipe.load(folder / PIPELINE)
    return before.model_copy(update={"name": recipe.name, "output": recipe.output})


def _outdated(folder: Path) -> list[str]:
    """The runs that an earlier call still had to replace when it was stopped."""
    file = folder / OUTDATED
    with refused(f"{file} is damaged", "delete the folder, or name another `output`"):
        return list(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else []


def _note(folder: Path, outdated: Sequence[str]) -> None:
    """Records the runs that are still to be replaced, for the next call if this one is stopped."""
    if outdated:
        write_whole(folder / OUTDATED, json.dumps(outdated))
    else:
        (folder / OUTDATED).unlink(missing_ok=True)


def _changed(recipe: PipelineRecipe, before: PipelineRecipe | None, waiting: Sequence[str]) -> list[str]:
    """The runs of both stages that would be trained differently now, and those fine-tuned from such a run. The runs in
    `waiting`, which are to be replaced, are known to be made from other files.
    """
    if before is None:
        return []
    old = {run.name: run for run in before.runs()}
    runs = [run.name for run in recipe.runs() if run.name in old and _is_other(old[run.name], run, run.name in waiting)]
    known = {subject.name: subject for subject in before.subjects()}
    tunings = []
    for subject in recipe.subjects():
        stale = subject.run is not None and subject.run.name in runs
        for task in recipe.finetune.tasks:
            wanted = recipe.finetuning(subject, task)
            if stale and wanted.folder.is_dir():
                tunings.append(f"{subject.name}/{task}")
            elif subject.name in known and task in before.finetune.tasks:
                name, earlier = f"{subject.name}/{task}", before.finetuning(known[subject.name], task)
                tunings += [name] if _is_other(earlier, wanted, name in waiting) else []
    return [*runs, *tunings]


def _is_other(before: Recipe | FinetuneRecipe, now: Recipe | FinetuneRecipe, waits: bool) -> bool:
    """Whether a folder holds a finished run of another recipe or from other files, or one that cannot continue with
    this recipe.
    """
    folder = RunFolder(now.folder)
    if not folder.recipe.is_file():
        return False
    if folder.finished:
        return before != now or (not waits and bool(changed_sources(folder, now)))
    if differences(folder, before, now):
        return True
    begins = waits or not begun(folder, now)
    return not begins and bool(changed_sources(folder, now) or other_processes(folder, now))


def _done(run: Recipe | FinetuneRecipe) -> bool:
    return RunFolder(run.folder).finished


def _preflight(recipe: PipelineRecipe, changed: list[str], tell: Tell) -> None:
    """Tries every run on two rows: stage 2 with an untrained student of each teacher instead of the trained ones.

    Raises:
        ValueError: Some runs have faults; the message lists all of them.
    """
    faults: list[str] = []
    prepared: dict[str, Prepared] = {}
    for run in recipe.runs():
        if not _done(run) or run.name in changed:
            _say(tell, f"trying {run.name}")
            try:
                prepared.setdefault(_teacher(run), preflight(run)[0])
            except ValueError as error:
                faults.append(f"distill, run {run.name!r}: {error}")
    with tempfile.TemporaryDirectory() as temporary:
        for trial in _trials(recipe, Path(temporary), prepared):
            for task in recipe.finetune.tasks:
                wanted, name = recipe.finetuning(trial.subject, task), f"{trial.subject.name}/{task}"
                if not _done(wanted) or name in changed:
                    _say(tell, f"trying {name}")
                    try:
                        preflight_finetuning(wanted.model_copy(update={"model": trial.model}))
                    except ValueError as error:
                        faults.append(f"finetune, task {task!r}, model {trial.subject.name!r}: {error}")
    if faults:
        raise ValueError("\n".join(faults))


@dataclass(frozen=True)
class _Trial:
    """A checkpoint that stands in for a model of stage 2."""

    subject: Subject
    model: str


def _trials(recipe: PipelineRecipe, temporary: Path, prepared: Mapping[str, Prepared]) -> Iterator[_Trial]:
    """One student of each teacher, whose students all read the same data, and every baseline."""
    tried = set()
    for subject in recipe.subjects():
        if subject.run is None:
            yield _Trial(subject, subject.model)
            continue
        part = next(part for part in subject.run.students if part.name == subject.student)
        kind, trained = (_teacher(subject.run), part.model), Path(subject.model, MANIFEST).is_file()
        own = prepared.get(_teacher(subject.run))
        if kind in tried or not (trained or own):
            continue
        tried.add(kind)
        if not trained and own is not None:
            build_student(part, own.teacher, own.data, subject.seed).save_pretrained(temporary / subject.name)
        yield _Trial(subject, subject.model if trained else str(temporary / subject.name))


def _teacher(run: Recipe) -> str:
    return run.teacher.model or str(run.teacher.config)


def _results(recipe: PipelineRecipe) -> PipelineResults:
    reports = {run.name: VerificationReport.read(RunFolder(run.folder).report) for run in recipe.runs()}
    rows = []
    for subject in recipe.subjects():
        tasks = {task: _scores(recipe, recipe.finetuning(subject, task)) for task in recipe.finetune.tasks}
        if subject.run is None:
            rows.append(ModelScores(subject.name, tasks))
            continue
        report = reports[subject.run.name]
        (own,) = (each for each in report.students if (each.name, each.seed) == (subject.student, subject.seed))
        stage1 = (own.task_metric, own.chosen_by is not None)
        rows.append(ModelScores(subject.name, tasks, subject.run.name, subject.student, subject.seed, *stage1))
    return PipelineResults(recipe.name, {name: report.teacher.metric for name, report in reports.items()}, tuple(rows))


def _scores(recipe: PipelineRecipe, wanted: FinetuneRecipe) -> TaskScores:
    found = FinetuneResults.read(RunFolder(wanted.folder).finetuned)
    return TaskScores(
        metric=found.metric,
        means={name: found.mean(name) for name in found.metrics},
        spreads={name: found.spread(name) for name in found.metrics},
        seeds=len(found.scores),
        examples=found.split["examples"],
        folder=str(wanted.folder.relative_to(recipe.folder)),
        questions=found.questions,
        chosen=found.is_chosen,
    )
