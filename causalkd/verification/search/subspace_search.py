"""The narrowing of a search's proposals to learned subspaces of the student layers.

Distributed alignment search between two models: the teacher's counterfactual predictions are the targets, so it finds
directions of the student on which an intervention has the same effect as one on the whole teacher layer.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment
from causalkd.data.batch import Batch
from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.students import untrained_copy
from causalkd.verification.interventions.counterfactuals import ModelPass
from causalkd.verification.interventions.plan import layer_interventions
from causalkd.verification.interventions.predictions import check_defined
from causalkd.verification.measures.iia import measure
from causalkd.verification.measures.scores import Measurement, Score
from causalkd.verification.results.baselines import BASELINES, explaining
from causalkd.verification.results.report import InterchangeRow
from causalkd.verification.search.das import Fit, Subspace, check_learnable, learn_subspace
from causalkd.verification.search.search import Proposal, Search

_CONTROLS = tuple(baseline for baseline in BASELINES if baseline not in ("ceiling", "untrained_student"))


def learn_subspaces(
    teacher: HookedModel,
    student: HookedModel,
    found: Search,
    pairs: Sequence[Batch],
    heldout: Sequence[Batch],
    *,
    rank: int | None,
    fit: Fit | None = None,
    seed: int = 0,
) -> Search:
    """The same proposals, each with a subspace of the student layer, learned from the teacher layer's counterfactuals.

    The subspaces are learned on the search pairs; the held-out pairs decide again. An untrained network also has
    directions with some of this effect, so the accuracy of an untrained student with directions learned in the same way
    is one of the baselines; directions learned for arbitrary targets are reported too. Costs a base and a source run of
    the teacher and a counterfactual per layer, and for each proposal twice the costs of `learn_subspace` and of
    `measure` for one pair.

    Args:
        teacher: A classifier.
        student: Another classifier, in the student's role.
        found: The result of `search` for these models.
        pairs: The pairs on which layers were proposed.
        heldout: The pairs on which they were tested.
        rank: Dimension of the subspace; None means that it is learned too.
        fit: The training settings.
        seed: The seed of the untrained student and of the random directions.

    Raises:
        ValueError: As in `check_rank`.
    """
    check_rank(student, found.component, rank)
    if not found.proposals:
        return found
    (name,) = pairs[0].positions
    untrained_student = untrained_copy(student, seed)
    layers = {proposal.teacher_layer for proposal in found.proposals}
    training, tested = (_targets(teacher, layers, name, part) for part in (pairs, heldout))
    subspaces: list[Subspace] = []
    scores: list[Score] = []
    for proposal in found.proposals:
        layer, seen, unseen = proposal.student_layer, *(t[proposal.teacher_layer] for t in (training, tested))
        learned, other = (
            learn_subspace(model, layer, name, pairs, seen, heldout, unseen, rank=rank, fit=fit)
            for model in (student, untrained_student)
        )
        own, (untrained,) = (
            _scores(teacher, model, found, replace(proposal, subspace=subspace), heldout, baselines, seed)
            for model, subspace, baselines in ((student, learned, _CONTROLS), (untrained_student, other, ()))
        )
        subspaces.append(learned)
        placed = replace(untrained, comparison=own[0].comparison, baseline="untrained_student")
        scores += [*own, replace(placed, reachable=own[0].reachable)]
    rows = Measurement(tuple(scores)).rows("student", seed)
    decided = (_decided(*each, rows) for each in zip(found.proposals, subspaces, strict=True))
    return replace(found, proposals=tuple(decided))


def check_rank(student: HookedModel, component: str, rank: int | None) -> None:
    """Refuses models, components and ranks for which no subspace can be learned, before the search.

    Raises:
        ValueError: The student is not a classifier or has the teacher's role, the component is not a block's output, or
            the rank is not between 1 and the student's width.
    """
    if student.task != "classification":
        raise ValueError(
            f"a rank is given, but subspaces are learned only in classifiers, not for {student.task}; leave it out"
        )
    check_learnable(student)
    if component != "block_output":
        raise ValueError(f"component {component!r} given; subspaces are learned only of block_output")
    if rank is not None and not 0 < rank <= student.width:
        raise ValueError(f"rank {rank} given; a hook point of this student has 1–{student.width} directions")


def _targets(
    teacher: HookedModel, layers: Collection[int], name: str, batches: Sequence[Batch]
) -> dict[int, Int[Tensor, "pairs"]]:
    """The teacher's predictions after an intervention on a layer, by layer."""
    interventions = {layer: layer_interventions(teacher, "block_output", name)[layer] for layer in layers}
    found: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    with torch.no_grad(), evaluating([teacher]):
        for batch in batches:
            run = ModelPass.of(teacher, interventions.values(), batch.to(teacher.model.device))
            for layer, intervention in interventions.items():
                choice = run.counterfactual(intervention).predictions.choice.cpu()
                check_defined(choice, teacher)
                found[layer].append(choice)
    return {layer: torch.cat(choices) for layer, choices in found.items()}


def _scores(
    teacher: HookedModel,
    model: HookedModel,
    found: Search,
    proposal: Proposal,
    heldout: Sequence[Batch],
    baselines: Sequence[str],
    seed: int,
) -> tuple[Score, ...]:
    """The measurement of the proposal's subspace in a model, on the held-out pairs."""
    (name,) = heldout[0].positions
    pair = proposal.pair(found.component).model_copy(update={"name": name})
    declared = resolve(Alignment(name="narrowed", positions=found.policy, pairs=(pair,)), teacher, model)
    return measure(teacher, model, declared, heldout, component=None, baselines=baselines, seed=seed).scores


def _decided(proposal: Proposal, subspace: Subspace, rows: Sequence[InterchangeRow]) -> Proposal:
    """The proposal with its subspace and the subspace's measurement on the held-out pairs."""
    layers = (proposal.teacher_layer, proposal.student_layer)
    own = [row for row in rows if (row.teacher_layer, row.student_layer) == layers]
    (intervened,) = (row for row in own if row.baseline == "measured")
    explanations = tuple(row for row in own if row.baseline in explaining())
    return replace(proposal, heldout=intervened, baselines=explanations, subspace=subspace)
