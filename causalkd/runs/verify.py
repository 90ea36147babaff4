"""The builder of a run's report: every measurement of its models on held-out pairs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from causalkd.alignment.resolve import resolve
from causalkd.data.batch import Batch
from causalkd.data.tasks.generated import causal_model
from causalkd.data.tasks.registry import task_spec
from causalkd.processes.processes import ALONE, Processes
from causalkd.recipe.sections import StudentPart, VerificationPart
from causalkd.runs.folder.map_files import check_maps
from causalkd.runs.folder.stages import TEACHER
from causalkd.runs.made_of import made_of
from causalkd.runs.setup.objectives import interchanging
from causalkd.runs.setup.prepare import build_pairs, build_rows
from causalkd.runs.setup.train import chosen_by
from causalkd.runs.trained_run import TrainedRun
from causalkd.verification.interventions.heads import BY_HEAD, head_comparisons
from causalkd.verification.interventions.passes import ObservedModel, run_passes
from causalkd.verification.interventions.plan import declared_interventions, pairs_of_positions, plan
from causalkd.verification.measures.counters import MatchCounter, MeasurementPlan, TeacherCounterfactuals
from causalkd.verification.measures.environment import environment
from causalkd.verification.measures.ground_truth import GroundTruth, KnownAnswers
from causalkd.verification.measures.iia import Subject, untrained
from causalkd.verification.measures.metric_certainty import TaskCertainty, task_certainty
from causalkd.verification.measures.mismatches import MismatchObserver
from causalkd.verification.measures.off_distribution import OffDistribution
from causalkd.verification.measures.scores import Row, adjusted, differences
from causalkd.verification.measures.task_metrics import Behaviour, choices, evaluate, right_rows
from causalkd.verification.results.attribution import AttributionResults
from causalkd.verification.results.baselines import BASELINES, explaining
from causalkd.verification.results.interchange_rows import DifferenceRow, InterchangeRow
from causalkd.verification.results.measured_on import MeasuredOn
from causalkd.verification.results.report import StudentResult, TeacherResult, VerificationReport


def verified(
    run: TrainedRun,
    processes: Processes = ALONE,
) -> VerificationReport:
    """Measure the students of a run, and its teacher, on the held-out pairs that its recipe selects.

    Several processes share the batches of rows and pairs, and each returns the whole report, which is the same as that
    of one process. For one batch, memory holds the base and source activations at every site of a model, and the
    teacher's counted logits for every intervention; so give a causal LM with a large vocabulary small batches and few
    components. Some bits for each pair are kept to the end, see `MatchCounter`: 40 bytes at twelve sites of a
    classifier.
    """
    check_maps(run.folder)
    attribution = AttributionResults.read(run.folder.attribution_results)
    if attribution is not None and attribution.made_of != made_of(run):
        attribution = None  # of other weights or rows
    teacher, results, certainty = _results(run, processes)
    pairs = build_pairs(run.recipe, run.data, run.alignment, rightly_answered(run, processes))
    watch = _Watch.of(run, pairs)
    run_passes(watch.observed(), pairs, processes)
    rows, compared = watch.interchange()
    return VerificationReport(
        teacher=teacher,
        students=results,
        alignment=run.alignment,
        interchange=rows,
        environment=environment(run.teacher, *_settings(run.recipe.verification)),
        differences=compared,
        attribution=attribution,
        ground_truth=tuple(row for found in watch.ground_truth for row in found.rows()),
        mismatches=tuple(row for found in watch.mismatches for row in found.rows()),
        off_distribution=tuple(row for found in watch.distances for row in found.rows()),
        heads=watch.of_heads(),
        measured_on=MeasuredOn(**run.data.identity["heldout"], changed=run.changed),
        **certainty,
    )


def _settings(chosen: VerificationPart) -> tuple[int, float, str]:
    """The settings of the recipe that a report's environment holds."""
    variable = "" if chosen.variable is None else f": {chosen.variable}"
    return chosen.seed, chosen.tolerance, f"{chosen.pair_selection}{variable}"


def references(students: Sequence[StudentPart]) -> dict[str, tuple[str, ...]]:
    """The students that each student is compared with: the first, and if it intervenes, all that do not."""
    first, plain = students[0].name, [part.name for part in students if not _intervenes(part)]
    chosen = {part.name: [first, *(plain if _intervenes(part) else [])] for part in students}
    return {name: tuple(dict.fromkeys(other for other in others if other != name)) for name, others in chosen.items()}


def _intervenes(part: StudentPart) -> bool:
    return bool(interchanging(part.objectives.chosen()))


def rightly_answered(
    run: TrainedRun,
    processes: Processes = ALONE,
) -> Tensor | None:
    """Which held-out examples every model predicts correctly, if the recipe selects pairs of such examples."""
    if run.recipe.verification.pair_selection != "both_right":
        return None
    rows, tolerance = build_rows(run.recipe, run.data), run.recipe.verification.tolerance
    models = (run.teacher, *(student.model for student in run.students))
    return torch.stack([right_rows(model, rows, processes, tolerance) for model in models]).all(0)


@dataclass(frozen=True, eq=False)
class _Watch:
    """The observers of a run's models while its held-out pairs pass; each list is in the order of the students, or
    empty.
    """

    run: TrainedRun
    counterfactuals: TeacherCounterfactuals
    counters: Mapping[str | None, list[MatchCounter]]
    """One list for each component."""
    heads: list[MatchCounter]
    mismatches: list[MismatchObserver]
    distances: list[OffDistribution]
    """The teacher's observer first."""
    ground_truth: list[GroundTruth]
    """The teacher's observer first."""

    @classmethod
    def of(cls, run: TrainedRun, pairs: Sequence[Batch]) -> "_Watch":
        """All observers that the recipe asks for."""
        subjects = [(student.model, resolve(run.alignment, run.teacher, student.model)) for student in run.students]
        grids, heads = _grids(run, subjects), _heads(run, subjects)
        plans = (each for column in (*grids.values(), heads) for each in column)
        teacher = TeacherCounterfactuals(plans, run.recipe.verification.tolerance)

        def counters(plans: list[MeasurementPlan]) -> list[MatchCounter]:
            return [
                MatchCounter(teacher, each, student.seed) for each, student in zip(plans, run.students, strict=False)
            ]

        of_grids = {component: counters(column) for component, column in grids.items()}
        mismatches, distances = _mismatches(run, subjects, teacher), _distances(run, subjects)
        return cls(run, teacher, of_grids, counters(heads), mismatches, distances, _ground_truth(run, pairs))

    def observed(self) -> list[ObservedModel]:
        """All models with their observers: the teacher first, then the students and the untrained students."""
        teacher, students = self.run.teacher, [student.model for student in self.run.students]
        counters = [column for column in (*self.counters.values(), self.heads) if column]
        further = [column for column in (self.mismatches, self.distances[1:], self.ground_truth[1:]) if column]
        untrained_students = untrained(pair for column in counters for pair in zip(students, column, strict=True))
        return [
            ObservedModel(teacher, self.counterfactuals, self.distances[0], *self.ground_truth[:1]),
            *(ObservedModel(*observers) for observers in zip(students, *counters, *further, strict=True)),
            *untrained_students,
        ]

    def interchange(self) -> tuple[tuple[InterchangeRow, ...], tuple[DifferenceRow, ...]]:
        """Every student's accuracies, and their differences."""
        rows, compared = [], []
        for counters in self.counters.values():
            found = {
                (part.name, seed): counter.measurement()
                for (part, seed, _), counter in zip(self.run.students, counters, strict=True)
            }
            rows += [row for (name, seed), each in found.items() for row in each.rows(name, seed)]
            compared += differences(found, references(self.run.recipe.students))
        return _over_all_components(rows), _over_all_components(compared)

    def of_heads(self) -> tuple[InterchangeRow, ...]:
        """The comparison of single attention heads, if the recipe names the component that is split by heads."""
        named = [
            (counter, part.name, seed) for counter, (part, seed, _) in zip(self.heads, self.run.students, strict=False)
        ]
        return tuple(row for counter, name, seed in named for row in counter.measurement().rows(name, seed))


def _grids(run: TrainedRun, subjects: Sequence[Subject]) -> dict[str | None, list[MeasurementPlan]]:
    """The comparisons of each student, by component."""
    return {
        component: [MeasurementPlan(plan(run.teacher, *subject, component), BASELINES) for subject in subjects]
        for component in run.recipe.verification.components or (None,)
    }


def _heads(run: TrainedRun, subjects: Sequence[Subject]) -> list[MeasurementPlan]:
    if BY_HEAD not in run.recipe.verification.components:
        return []
    return [MeasurementPlan(head_comparisons(run.teacher, *subject), explaining()) for subject in subjects]


def _mismatches(
    run: TrainedRun, subjects: Sequence[Subject], teacher: TeacherCounterfactuals
) -> list[MismatchObserver]:
    """Observers of the pairs on which each student differs most from the teacher, for classifiers."""
    if run.teacher.task != "classification":
        return []
    return [
        MismatchObserver(run.teacher, teacher, sites, name=part.name, seed=seed)
        for (part, seed, _), (_, sites) in zip(run.students, subjects, strict=True)
    ]


def _distances(run: TrainedRun, subjects: Sequence[Subject]) -> list[OffDistribution]:
    """Observers of how far states after an intervention are from those without, in every model at every declared
    pair.
    """
    declared = [declared_interventions(sites) for _, sites in subjects]
    found = [OffDistribution({pair: teacher for pair, (teacher, _) in declared[0].items()}, name="teacher")]
    for (part, seed, _), interventions in zip(run.students, declared, strict=True):
        student = {pair: own for pair, (_, own) in interventions.items()}
        found.append(OffDistribution(student, name=part.name, seed=seed))
    return found


def _ground_truth(run: TrainedRun, pairs: Sequence[Batch]) -> list[GroundTruth]:
    """Observers of every model against the task's own causal model, if it is known."""
    known = causal_model(run.recipe.data.data_name)
    if known is None:
        return []
    answers = KnownAnswers.of(known.counterfactuals, known.variables, pairs)
    answers = answers.in_label_order(task_spec(run.recipe.data.data_name).labels, run.data.labels or ())
    positions = pairs_of_positions(run.alignment.policies())
    models = [("teacher", None, run.teacher), *((part.name, seed, model) for part, seed, model in run.students)]
    return [GroundTruth(model, answers, positions, name=name, seed=seed) for name, seed, model in models]


def _over_all_components(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Each row once, with q over all sites; a declared pair is also measured in the grid of every component."""
    return adjusted(dict.fromkeys(replace(row, q_value=None) for row in rows))


def _results(run: TrainedRun, processes: Processes) -> tuple[TeacherResult, tuple[StudentResult, ...], TaskCertainty]:
    recipe, teacher = run.recipe, run.teacher
    heldout, rows = run.data.heldout, build_rows(recipe, run.data)
    metric = heldout.metric
    name = recipe.teacher.model or str((recipe.teacher.config or {})["model_type"])
    measure = partial(
        evaluate,
        batches=rows,
        metric=metric,
        examples=heldout.examples,
        further=heldout.further,
        processes=processes,
        positive=heldout.positive,
        tolerance=recipe.verification.tolerance,
    )
    of_task = measure(teacher)
    chosen = chosen_by(run.folder, TEACHER, recipe.teacher.training)
    of_run = TeacherResult(name, teacher.task, metric, of_task.task_metric, _further(of_task, metric), chosen)
    found, of_teacher, behaviours = [], choices(teacher, rows, processes), {}
    for part, seed, student in run.students:
        behaviour = measure(student, teacher_choices=of_teacher)
        trained = f"{part.name}-seed{seed}"
        cost = run.folder.read_cost(trained)
        weights = {objective: given.weight for objective, given in part.objectives.chosen().items()}
        measured = StudentResult(part.name, weights, seed, behaviour.task_metric, behaviour.agreement, *cost)
        training = recipe.training_of(part)
        generator = None if training.sequences is None else training.sequences.generator
        chosen = chosen_by(run.folder, trained, training)
        found.append(replace(measured, metrics=_further(behaviour, metric), chosen_by=chosen, generator=generator))
        behaviours[part.name, seed] = behaviour
    certainty = task_certainty(of_task, behaviours, metric, references(recipe.students))
    return of_run, tuple(found), certainty


def _further(behaviour: Behaviour, metric: str) -> dict[str, float | None]:
    """The metrics that are reported in addition to the task's own."""
    return {name: value for name, value in behaviour.metrics.items() if name != metric}
