"""Both models' counterfactual runs of one site pair, made once a step however many objectives ask."""

from dataclasses import replace
from typing import NamedTuple

from causalkd.alignment.interchange import interchange
from causalkd.alignment.resolve import ResolvedPair
from causalkd.alignment.sites import ResolvedSite
from causalkd.data.batch import Batch
from causalkd.data.positions import Positions
from causalkd.models.hooked import HookedModel
from causalkd.models.run import Inputs, Run
from causalkd.objectives.base_run import BaseRun, Kept


class Counterfactuals(NamedTuple):
    """What both models output on base after the interchange; `batch` is the base they were run on."""

    teacher: Run
    student: Run
    batch: Batch


def counterfactuals(run: BaseRun, pair: ResolvedPair) -> Counterfactuals:
    """The counterfactual runs of a site pair on this step's base, sources and positions.

    Per model it costs the blocks after the first site; with sources outside the batch, also the blocks up to the last
    site that is read.
    """
    return _shared(run, pair, crossed=False)


def crossed_counterfactuals(run: BaseRun, pair: ResolvedPair) -> Counterfactuals:
    """The same with base and source exchanged (DIITO's crossway).

    With sources outside the batch it costs a whole forward of the source rows instead.
    """
    return _shared(run, pair, crossed=True)


def _shared(run: BaseRun, pair: ResolvedPair, crossed: bool) -> Counterfactuals:
    key = ("counterfactuals", pair.name, crossed)
    if key not in run.shared:
        run.shared[key] = _make(run, pair, crossed)
    return run.shared[key]


def _make(run: BaseRun, pair: ResolvedPair, crossed: bool) -> Counterfactuals:
    teacher, teacher_run = run.taught()
    batch, positions = run.batch, _positions(run.batch, pair)
    base = crossed_batch(batch) if crossed else batch
    logits_at = run.student_run.logits_at
    if crossed and logits_at is not None:
        logits_at = Kept(logits=run.logits).logits_at(run.student.task, base)

    def one(model: HookedModel, sites: tuple[ResolvedSite, ...], base_run: Run) -> Run:
        if crossed:
            start = base.inputs if batch.source_rows is None else base_run.as_base(batch.source_rows)
            return interchange(model, sites, start, base_run.donor(), positions.exchanged(), logits_at=logits_at)
        source = batch.source if batch.source is not None else base_run.donor(batch.source_rows)
        return interchange(model, sites, base_run, source, positions, logits_at=logits_at)

    return Counterfactuals(
        one(teacher, pair.teacher, teacher_run), one(run.student, pair.student, run.student_run), base
    )


def crossed_batch(batch: Batch) -> Batch:
    """The source rows as base; rows from outside the batch come without labels."""
    labels = None
    if batch.labels is not None and batch.source_rows is not None:
        labels = batch.labels[batch.source_rows]
    return replace(batch, inputs=_source_inputs(batch), labels=labels, source=None, source_rows=None)


def _source_inputs(batch: Batch) -> Inputs:
    if batch.source is not None:
        return batch.source
    return {name: tensor[batch.source_rows] for name, tensor in batch.inputs.items()}


def _positions(batch: Batch, pair: ResolvedPair) -> Positions:
    if batch.source is None and batch.source_rows is None:
        raise ValueError(
            "an interchange needs sources and this batch has none; collate with PairingCollator, which draws them"
        )
    if pair.name not in batch.positions:
        raise ValueError(
            f"the batch has positions for the site pairs {sorted(batch.positions)}, not for {pair.name!r}; "
            "give the collator this alignment's policies()"
        )
    return batch.positions[pair.name]
