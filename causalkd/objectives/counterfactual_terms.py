"""Both models' counterfactual runs of one site pair, computed once per step for all objectives."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

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
    return _once(run, ("counterfactuals", pair.name), lambda: _plain(run, pair, among or (pair,)))


def crossed_counterfactuals(run: StepContext, pair: ResolvedPair) -> Counterfactuals:
    """The same with base and source reversed (DIITO's crossway).

    With sources outside the batch it costs a complete forward pass of the source rows instead.
    """
    return _once(run, ("crossed", pair.name), lambda: _crossed(run, pair))


def _once(run: StepContext, key: tuple[str, ...], make: Callable[[], Any]) -> Any:
    if key not in run.shared:
        run.shared[key] = make()
    return run.shared[key]


def _plain(run: StepContext, pair: ResolvedPair, among: Sequence[ResolvedPair]) -> Counterfactuals:
    (teacher, teacher_run), student_run, positions = run.teacher_outputs(), run.student_run, _positions(run.batch, pair)
    of_teacher, of_student = _sources(run, among)
    at = student_run.logits_at
    return Counterfactuals(
        interchange(teacher, pair.teacher, teacher_run, of_teacher, positions, logits_at=at),
        interchange(run.student, pair.student, student_run, of_student, positions, logits_at=at),
        run.batch,
    )


def _sources(run: StepContext, pairs: Sequence[ResolvedPair]) -> tuple[SourceActivations, SourceActivations]:
    """The source activations of both models wherever the pairs read them: already there, or from one forward pass
    each.
    """
    (teacher, teacher_run), source = run.teacher_outputs(), run.batch.source
    if source is None:
        return teacher_run.source_activations(run.batch.source_rows), run.student_run.source_activations(
            run.batch.source_rows
        )

    def read() -> tuple[SourceActivations, SourceActivations]:
        of_teacher = read_hook_points(site for pair in pairs for site in pair.teacher)
        of_student = read_hook_points(site for pair in pairs for site in pair.student)
        return teacher.read(source, of_teacher), run.student.read(source, of_student)

    return _once(run, ("sources", *(pair.name for pair in pairs)), read)


def _crossed(run: StepContext, pair: ResolvedPair) -> Counterfactuals:
    teacher, teacher_run = run.teacher_outputs()
    batch, positions, base = run.batch, _positions(run.batch, pair).swapped(), crossed_batch(run.batch)
    at = (
        None if run.student_run.logits_at is None else Requirements(logits=run.logits).logits_at(run.student.task, base)
    )

    def one(model: HookedModel, sites: tuple[ResolvedSite, ...], context: ForwardOutput) -> ForwardOutput:
        start = base.inputs if batch.source_rows is None else context.as_base(batch.source_rows)
        return interchange(model, sites, start, context.source_activations(), positions, logits_at=at)

    return Counterfactuals(
        one(teacher, pair.teacher, teacher_run), one(run.student, pair.student, run.student_run), base
    )


def crossed_batch(batch: Batch) -> Batch:
    """The source rows as base; rows from outside the batch have no labels."""
    labels = None
    if batch.labels is not None and batch.source_rows is not None:
        labels = batch.labels[batch.source_rows]
    predicting = of_sources(batch.predicting)
    return replace(
        batch, inputs=_source_inputs(batch), labels=labels, source=None, source_rows=None, predicting=predicting
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
