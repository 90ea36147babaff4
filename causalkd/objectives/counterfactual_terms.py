"""Both models' counterfactual runs of one site pair, computed once per step for all objectives."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, NamedTuple

from torch import Tensor

from causalkd.alignment.interchange import interchange, read_hook_points
from causalkd.alignment.resolve import ResolvedPair
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.data.batch import Batch
from causalkd.data.positions import Positions
from causalkd.data.token_mask import of_sources
from causalkd.models.hooks.forward import ForwardOutput, Inputs, SourceActivations
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.base import Requirements, StepContext


class Counterfactuals(NamedTuple):
    """The outputs of both models on base after the intervention; `batch` is the base they were run on."""

    teacher: ForwardOutput
    student: ForwardOutput
    batch: Batch


def counterfactuals(run: StepContext, pair: ResolvedPair, among: Sequence[ResolvedPair] = ()) -> Counterfactuals:
    """The counterfactual runs of a site pair on this step's base, sources and positions.

    For each model it costs the blocks after the first site; with sources outside the batch, also the blocks up to the
    last site that is read, once for all the pairs that it is `among`.
    """
    return _once(run, ("counterfactuals", *_identity(pair)), lambda: _plain(run, pair, among or (pair,)))


def crossed_counterfactuals(run: StepContext, pair: ResolvedPair) -> Counterfactuals:
    """The same with base and source reversed (DIITO's crossway).

    With sources outside the batch it costs a complete forward pass of the source rows instead.
    """
    return _once(run, ("crossed", *_identity(pair)), lambda: _crossed(run, pair))


def _identity(pair: ResolvedPair) -> tuple[Any, ...]:
    """A key of a pair's counterfactuals; its name is not enough, as pairs of two alignments may share one."""
    return (pair.name, *(tuple(site.identity for site in sites) for sites in (pair.teacher, pair.student)))


def _once(run: StepContext, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    if key not in run.shared:
        run.shared[key] = make()
    return run.shared[key]


def _plain(run: StepContext, pair: ResolvedPair, among: Sequence[ResolvedPair]) -> Counterfactuals:
    teacher_batch, own = run.teacher_batch, run.batch
    positions, at = _positions(teacher_batch, pair), None if run.teacher_run is None else run.teacher_run.logits_at

    def of_teacher() -> ForwardOutput:
        teacher, teacher_run = run.teacher_outputs()
        sites = [site for each in among for site in each.teacher]
        sources = _sources(run, teacher, teacher_batch, teacher_run, sites)
        return interchange(teacher, pair.teacher, teacher_run, sources, positions, logits_at=at)

    sites = [site for each in among for site in each.student]
    sources = _sources(run, run.student, own, run.student_run, sites)
    return Counterfactuals(
        run.teacher_counterfactual(
            _name(pair), teacher_batch, _source_inputs(teacher_batch), positions, at, of_teacher
        ),
        interchange(
            run.student,
            pair.student,
            run.student_run,
            sources,
            _positions(own, pair),
            logits_at=run.student_run.logits_at,
        ),
        own,
    )


def _name(pair: ResolvedPair) -> str:
    """The name and a digest of a teacher's sites: its output depends on them besides rows and positions."""
    sites = sha256(repr([site.identity for site in pair.teacher]).encode()).hexdigest()
    return f"{pair.name} at sites {sites}"


def _sources(
    run: StepContext,
    model: HookedModel,
    batch: Batch,
    base: ForwardOutput,
    sites: Sequence[ResolvedSite],
) -> SourceActivations:
    """A model's activations on the sources at all hook points that the pairs read, known or from one forward."""
    source = batch.source
    if source is None:
        return base.source_activations(batch.source_rows)
    points = read_hook_points(sites)
    return _once(run, ("sources", model.role, *points), lambda: model.read(source, points))


def _crossed(run: StepContext, pair: ResolvedPair) -> Counterfactuals:
    predicts = run.student_run.logits_at is not None

    def one(
        model: HookedModel, sites: tuple[ResolvedSite, ...], batch: Batch, context: ForwardOutput, at: Tensor | None
    ) -> ForwardOutput:
        start = _source_inputs(batch) if batch.source_rows is None else context.as_base(batch.source_rows)
        swapped = _positions(batch, pair).swapped()
        return interchange(model, sites, start, context.source_activations(), swapped, logits_at=at)

    def logits_at(base: Batch) -> Tensor | None:
        return Requirements(logits=run.logits).logits_at(run.student.task, base) if predicts else None

    teacher_batch, own = run.teacher_batch, run.batch
    base, own_base = crossed_batch(teacher_batch), crossed_batch(own)
    at, positions = logits_at(base), _positions(teacher_batch, pair).swapped()

    def of_teacher() -> ForwardOutput:
        teacher, teacher_run = run.teacher_outputs()
        return one(teacher, pair.teacher, teacher_batch, teacher_run, at)

    return Counterfactuals(
        run.teacher_counterfactual(_name(pair), base, teacher_batch.inputs, positions, at, of_teacher),
        one(run.student, pair.student, own, run.student_run, logits_at(own_base)),
        own_base,
    )


def crossed_batch(batch: Batch) -> Batch:
    """The source rows as base."""
    labels = batch.source_labels
    if batch.labels is not None and batch.source_rows is not None:
        labels = batch.labels[batch.source_rows]
    predicting = of_sources(batch.predicting)
    return replace(
        batch,
        inputs=_source_inputs(batch),
        labels=labels,
        source=None,
        source_rows=None,
        source_labels=None,
        predicting=predicting,
    )


def _source_inputs(batch: Batch) -> Inputs:
    if batch.source is not None:
        return batch.source
    return {name: tensor[batch.source_rows] for name, tensor in batch.inputs.items()}


def _positions(batch: Batch, pair: ResolvedPair) -> Positions:
    if batch.source is None and batch.source_rows is None:
        raise ValueError(
            "an intervention needs sources and this batch has none; collate with PairingCollator, which draws them"
        )
    if pair.name not in batch.positions:
        raise ValueError(
            f"the batch has positions for the site pairs {sorted(batch.positions)}, not for {pair.name!r}; "
            "give the collator this alignment's policies()"
        )
    return batch.positions[pair.name]
