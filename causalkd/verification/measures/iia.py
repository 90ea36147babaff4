"""Interchange intervention accuracy: the share of student counterfactual predictions that equal the teacher's, by site.

Both models intervene at the same positions of the same held-out pairs, each with its own activations, by the same
`interchange` as in training. The README explains effective IIA and its baselines.
"""

from collections.abc import Collection, Iterable, Sequence

import torch

from causalkd.alignment.resolve import ResolvedAlignment
from causalkd.alignment.spec import Alignment
from causalkd.data.batch import Batch
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.models.fitting_models import check_pair
from causalkd.models.hooks.attention import attention_of
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.students import untrained_copy
from causalkd.models.vocabularies import share_entries
from causalkd.verification.interventions.passes import ObservedModel, run_passes
from causalkd.verification.interventions.plan import Comparison, plan
from causalkd.verification.interventions.predictions import TOLERANCE
from causalkd.verification.measures.counters import (
    MatchCounter,
    MeasurementPlan,
    TeacherCounterfactuals,
    UntrainedCounter,
)
from causalkd.verification.measures.scores import Measurement
from causalkd.verification.results.baselines import BASELINES

Subject = tuple[HookedModel, ResolvedAlignment]
"""A student, and the alignment resolved against the teacher and it."""


def measure(
    teacher: HookedModel,
    student: HookedModel,
    alignment: ResolvedAlignment,
    batches: Sequence[Batch],
    *,
    component: str | None = "block_output",
    baselines: Collection[str] = BASELINES,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Measurement:
    """Score one student; see `measure_all`."""
    (measured,) = measure_all(
        teacher,
        [(student, alignment)],
        batches,
        component=component,
        baselines=baselines,
        seeds=[seed],
        tolerance=tolerance,
    )
    return measured


def measure_all(
    teacher: HookedModel,
    students: Sequence[Subject],
    batches: Sequence[Batch],
    *,
    component: str | None = "block_output",
    baselines: Collection[str] = BASELINES,
    seeds: Sequence[int] | None = None,
    tolerance: float = TOLERANCE,
) -> list[Measurement]:
    """Score every student on the same held-out pairs: the declared pairs, and every layer against every layer.

    The teacher runs once for all students: one base run, one source run and one counterfactual per layer. Each student
    costs the same at its own depth. Baselines cost in addition:

    - permuted_source, norm_matched_random: the student's counterfactuals once more, for each of the two;
    - untrained_student: the student's runs and counterfactuals once more, shared by students of one configuration and
      seed;
    - wrong_layer, shuffled_alignment: one counterfactual for each declared pair outside the grids;
    - ceiling: a base run, a source run and a counterfactual of the teacher for each declared pair.

    Memory holds the teacher's counted logits of one batch for every layer, and a student's for one layer and its
    baselines, so give a causal LM with a large vocabulary small batches. Training and evaluation modes are unchanged.

    Args:
        teacher: The model whose counterfactual predictions are the reference.
        students: The students, each with the same alignment resolved against it.
        batches: Held-out pairs, with a source and positions for every declared pair.
        component: The whole component that the grid intervenes on in every layer; None for the declared pairs alone.
        baselines: The keys of the baselines to score as well.
        seeds: The seed of each student's untrained student, in their order; by default 0 for all.
        tolerance: For regression: the largest difference of two numbers that count as the same prediction.

    Raises:
        ValueError: Batches lack sources or positions, a name does not exist, or a student does not fit the teacher.
    """
    _check(students, batches, baselines)
    for student, _ in students:
        check_pair(teacher, student, same_tokens=batches[0].student is None)
    share_entries(teacher, *(student for student, _ in students))
    comparisons = [plan(teacher, student, alignment, component) for student, alignment in students]
    models = [student for student, _ in students]
    return measure_comparisons(
        teacher, models, comparisons, batches, baselines, seeds or [0] * len(students), tolerance
    )


def measure_comparisons(
    teacher: HookedModel,
    students: Sequence[HookedModel],
    comparisons: Sequence[tuple[Comparison, ...]],
    batches: Sequence[Batch],
    baselines: Collection[str],
    seeds: Sequence[int],
    tolerance: float = TOLERANCE,
) -> list[Measurement]:
    """Score given comparisons of every student; see `measure_all`, which plans them."""
    plans = [MeasurementPlan(own, baselines) for own in comparisons]
    reference = TeacherCounterfactuals(plans, tolerance)
    counters = [MatchCounter(reference, each, seed) for each, seed in zip(plans, seeds, strict=True)]
    of_students = list(zip(students, counters, strict=True))
    observed = [ObservedModel(student, counter) for student, counter in of_students]
    run_passes([ObservedModel(teacher, reference), *observed, *untrained(of_students)], batches)
    return [counter.measurement() for counter in counters]


def untrained(counters: Iterable[tuple[HookedModel, MatchCounter]]) -> list[ObservedModel]:
    """The untrained students that the counters need; students of the same configuration and seed share one."""
    found: dict[tuple[object, ...], tuple[HookedModel, int, list[MatchCounter]]] = {}
    for student, counter in counters:
        if "untrained_student" in counter.plan.baselines:
            model = student.model
            key = (model.config.to_json_string(), attention_of(student), model.dtype, model.device, counter.seed)
            found.setdefault(key, (student, counter.seed, []))[2].append(counter)
    return [
        ObservedModel(untrained_copy(student, seed), UntrainedCounter(own)) for student, seed, own in found.values()
    ]


def _unlike(alignment: Alignment, batch: Batch) -> list[str]:
    """Faults of pairs with the same policy whose positions differ, since one of them is used for both."""
    first: dict[PositionPolicy, str] = {}
    faults = []
    for name, policy in alignment.policies().items():
        other = first.setdefault(policy, name)
        given, expected = batch.positions[name], batch.positions[other]
        same = zip(
            (given.base, given.source, given.valid), (expected.base, expected.source, expected.valid), strict=True
        )
        if not all(torch.equal(one, another) for one, another in same):
            faults.append(
                f"pairs {other!r} and {name!r} have the same policy but different positions; draw them together"
            )
    return faults


def _check(students: Sequence[Subject], batches: Sequence[Batch], baselines: Collection[str]) -> None:
    if not batches or not students:
        raise ValueError(
            f"{len(students)} students and {len(batches)} batches of pairs were given; give at least one of each"
        )
    declared = [alignment.alignment for _, alignment in students]
    faults = [
        f"baseline {name!r} does not exist; choose from {', '.join(BASELINES)}"
        for name in baselines
        if name not in BASELINES
    ]
    if any(alignment != declared[0] for alignment in declared):
        faults.append("the students have different alignments; measure those of one alignment together")
    names = [pair.name for pair in declared[0].pairs]
    for number, batch in enumerate(batches):
        if batch.source is None and batch.source_rows is None:
            faults.append(f"batch {number} has no sources; make it with pair_batches")
        lacking = [name for name in names if name not in batch.positions]
        if lacking:
            faults.append(f"batch {number} has no positions for {lacking}, only for {sorted(batch.positions)}")
        else:
            faults += [f"batch {number}: {line}" for line in _unlike(declared[0], batch)]
    if "permuted_source" in baselines and len(batches[0].counted) < 2:
        faults.append("the first batch has one row, so permuted_source has no other source to give; use larger batches")
    if faults:
        raise ValueError("\n".join(faults))
