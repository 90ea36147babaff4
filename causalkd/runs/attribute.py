"""The attribution maps of a finished run: computed, kept in its folder, measured, and added to its report."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from causalkd.attribution.agreement import TOP
from causalkd.attribution.faithfulness import check_portions
from causalkd.attribution.integrated_gradients import Baseline, check_steps
from causalkd.attribution.maps import AttributionMap
from causalkd.data.batch import Batch
from causalkd.data.pairs.collator import ExampleSet
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.students import untrained_copy
from causalkd.processes.processes import all_processes
from causalkd.runs.distill import Page, write_pages
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.folder.lock import working_alone
from causalkd.runs.folder.map_files import replace_maps
from causalkd.runs.map_distances import map_distances
from causalkd.runs.setup.prepare import build_collator
from causalkd.runs.setup.progress_bars import no_bars_in_logs
from causalkd.runs.teaching import teaching_of
from causalkd.runs.trained_run import Trained, TrainedRun
from causalkd.task_types import TOKEN_TASKS, Task
from causalkd.verification.measures.attribution_maps import (
    AttributionBatch,
    MapSettings,
    ModelAttributions,
    measure_maps,
)
from causalkd.verification.measures.map_scores import agreement_row, faithfulness_row, gap_row, large_gaps
from causalkd.verification.results.attribution import (
    TEACHER,
    AgreementRow,
    AttributionBaseline,
    AttributionResults,
    AttributionSettings,
)
from causalkd.verification.results.report import VerificationReport

_ROWS = 16  # texts of one forward pass
_DISTANCE_TEXTS = 128  # AD-KD's term needs few forward passes per text, and many texts to distinguish students.
_RANDOM_ORDERS = 4


class StudentAttributions(NamedTuple):
    """A student's maps and those of an untrained student of the same configuration."""

    name: str
    seed: int
    own: ModelAttributions
    untrained: ModelAttributions


@working_alone
@no_bars_in_logs()
def attribute(
    path: str | Path,
    *,
    limit: int = 32,
    steps: int = 32,
    baseline: Baseline = "mean",
    portions: int = 8,
    page: Page | None = None,
    tell: Callable[[str], None] | None = None,
) -> VerificationReport:
    """Compute and measure the maps of a run's teacher and students on held-out texts, and add them to its report.

    For causal LMs it also measures the teaching modes of as many training texts. If students were trained on maps, it
    measures their distance from the teacher in the same terms, on up to 128 texts.

    For each model, a text costs at each of L + 1 depths `steps` + 1 forwards of the blocks after it, each with K − 1
    backwards (K classes; otherwise one), and for faithfulness about (6 + n) · portions forwards if it has n tokens.

    Args:
        path: The folder of a finished run.
        limit: Largest number of texts; they are spread over the held-out examples.
        steps: Number of steps of integrated gradients.
        baseline: Start of the path. From `zero`, AD-KD's, maps may be incomplete after hundreds of steps; from the
            mean of a text's positions or from `[MASK]`, fewer steps suffice. The report holds the gaps.
        portions: Number of portions in which a text's tokens are removed to measure faithfulness.
        page: Makes report.html; None writes none, and deletes that of an earlier report.
        tell: Receives one line for each next model, and for each model whose maps are not complete.

    Several processes (torchrun, accelerate launch) share the texts; the first one writes.

    Raises:
        ValueError: The folder holds no finished run, the head predicts no classes or tokens, or a number is too small.
    """
    processes = all_processes()
    check_steps(steps)
    check_portions(portions, _RANDOM_ORDERS)
    run = TrainedRun.load(path)
    report = VerificationReport.read(run.folder.report)
    questions = attribution_batches(run, limit)
    training_texts = spread(len(run.data.train.examples), limit)
    teaching = teaching_of(run, training_texts, processes) if run.teacher.task == "causal_lm" else None
    made = MapSettings(steps, baseline, portions, _RANDOM_ORDERS, run.recipe.verification.seed)

    say = tell if tell is not None and processes.is_first else lambda line: None

    def measured(name: str, model: HookedModel) -> ModelAttributions:
        say(f"maps of {name}")
        return measure_maps(model, questions, made, processes)

    teacher = measured(TEACHER, run.teacher)
    students = _explained(run.students, measured, made.seed)
    results = _results(questions, made, run.teacher.task, teacher, students)
    for line in large_gaps(results.completeness, steps, baseline):
        say(line)
    distances = map_distances(run, heldout_batches(run, _DISTANCE_TEXTS), processes)
    results = dataclasses.replace(results, teaching=teaching, map_distances=distances)
    maps = {f"{each.name}-seed{each.seed}": each.own.maps for each in students}
    report = dataclasses.replace(report, attribution=results)
    processes.in_first(partial(_write, run.folder, {TEACHER: teacher.maps, **maps}, report, page))
    return report


def _write(
    folder: RunFolder, maps: dict[str, tuple[AttributionMap, ...]], report: VerificationReport, page: Page | None
) -> None:
    assert report.attribution is not None
    replace_maps(folder, maps, report.attribution.to_json())
    write_pages(page, report, folder)
    report.write(folder.report)


def _explained(
    trained: Sequence[Trained], measured: Callable[[str, HookedModel], ModelAttributions], seed: int
) -> list[StudentAttributions]:
    """Each student's maps; those of an untrained student are computed once per configuration."""
    students: list[StudentAttributions] = []
    untrained: dict[str, ModelAttributions] = {}
    for student in trained:
        own = measured(student.folder_name, student.model)
        shape = student.model.model.config.to_json_string()
        if shape not in untrained:
            untrained[shape] = measured("an untrained student", untrained_copy(student.model, seed))
        students.append(StudentAttributions(student.part.name, student.seed, own, untrained[shape]))
    return students


def attribution_batches(run: TrainedRun, limit: int) -> list[AttributionBatch]:
    """The predictions that every model explains, on up to `limit` texts; short ones first, so that batches hold little
    padding.

    Raises:
        ValueError: There is no text, or the head predicts neither classes nor tokens.
    """
    return [AttributionBatch.of(run.teacher, batch) for batch in heldout_batches(run, limit)]


def heldout_batches(run: TrainedRun, limit: int) -> list[Batch]:
    """Up to `limit` held-out texts, evenly spread, on the models' device; short ones first.

    Raises:
        ValueError: There is no text.
    """
    if limit < 1:
        raise ValueError(f"limit {limit} leaves no text to explain; give at least 1")
    examples = ExampleSet(run.data.heldout.examples)
    rows = sorted((examples[number] for number in spread(len(examples), limit)), key=lambda row: len(row["input_ids"]))
    collate = build_collator(run.recipe.data, run.data.heldout, run.data.tokenizer, None, run.recipe.verification.seed)
    batches = (Batch.from_tensors(collate(rows[start : start + _ROWS])) for start in range(0, len(rows), _ROWS))
    return [batch.to(run.teacher.model.device) for batch in batches]


def spread(size: int, limit: int) -> list[int]:
    """Up to `limit` of the numbers below `size`, evenly spread."""
    return np.linspace(0, size - 1, min(limit, size)).round().astype(int).tolist()


def _results(
    questions: Sequence[AttributionBatch],
    made: MapSettings,
    task: Task,
    teacher: ModelAttributions,
    students: Sequence[StudentAttributions],
) -> AttributionResults:
    agreement: list[AgreementRow] = []
    faithful = [faithfulness_row(TEACHER, None, "measured", teacher.faithfulness, draw=made.seed)]
    gaps = [gap_row(TEACHER, None, each) for each in teacher.maps]
    for student in students:
        agreement += _agreements(student, teacher, made.seed)
        measured: tuple[tuple[AttributionBaseline, ModelAttributions], ...]
        measured = (("measured", student.own), ("untrained_student", student.untrained))
        for baseline, found in measured:
            faithful.append(faithfulness_row(student.name, student.seed, baseline, found.faithfulness, draw=made.seed))
        gaps += [gap_row(student.name, student.seed, each) for each in student.own.maps]
    first = teacher.maps[0]
    settings = AttributionSettings(
        texts=len(first.mask),
        views=_in_words(task, first),
        target=first.made.target,
        steps=made.steps,
        baseline=made.baseline,
        reduction=first.made.reduction,
        top=TOP,
        portions=made.portions,
        random_orders=made.random_orders,
        seed=made.seed,
    )
    examples = tuple(number for q in questions if q.batch.index is not None for number in q.batch.index.tolist())
    return AttributionResults(settings, examples, tuple(agreement), tuple(faithful), tuple(gaps))


def _agreements(student: StudentAttributions, teacher: ModelAttributions, draw: int) -> list[AgreementRow]:
    """The agreement at each depth of the student with the teacher at the same relative depth."""
    rows = []
    for layer, (own, untrained) in enumerate(zip(student.own.maps, student.untrained.maps, strict=True)):
        other = teacher.maps[round(layer * (len(teacher.maps) - 1) / (len(student.own.maps) - 1))]
        compared: tuple[tuple[AttributionBaseline, AttributionMap], ...]
        compared = (("measured", own), ("random_map", own), ("untrained_student", untrained))
        for baseline, found in compared:
            rows.append(agreement_row(student.name, student.seed, baseline, layer, other, found, draw=draw))
    return rows


def _in_words(task: Task, found: AttributionMap) -> str:
    if task == "regression":
        return "the number"
    if task in TOKEN_TASKS:
        return "the teacher's likeliest choice where it last counts"
    return "every class: " + ", ".join(view[0] for view in found.views)
