"""Learned alignments: the orthogonal subspace of a hook point whose intervention gives some target predictions.

Distributed alignment search (Geiger et al. 2024, "Finding alignments between interpretable causal variables and
distributed neural representations") and, if the dimension is learned too, boundless DAS (Wu et al. 2023,
"Interpretability at scale: identifying causal mechanisms in Alpaca"), through pyvene's rotated interventions.

A learned subspace is not evidence by itself: it fits arbitrary targets too. So it is scored on held-out pairs, and
compared with one that was trained in the same way on arbitrary targets. Only orthogonal maps are offered; non-linear
ones reach 100 % on random networks (Sutter et al. 2025, "The non-linear representation dilemma").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from transformer_lens.tools.analysis.interchange import SubspaceInterchange, arbitrary_targets

from causalkd.alignment.basis import orthonormal
from causalkd.alignment.pyvene.architectures import BoundlessRotatedSpaceIntervention, LowRankRotatedSpaceIntervention
from causalkd.data.batch import Batch
from causalkd.data.positions import Positions
from causalkd.models.head_labels import label_names
from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.forward import Inputs
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.pair_rows import check_given, separate_source
from causalkd.verification.interventions.predictions import predictions, same

Interchange = Callable[[Tensor, Tensor], Tensor]
"""A function from base and source activations, (position, width) each, to the activations after the intervention."""
Targets = Int[Tensor, "_"]


@dataclass(frozen=True)
class Fit:
    """The training of a subspace; a step is a batch."""

    epochs: int = 40
    learning_rate: float = 3e-2
    seed: int = 0
    temperatures: tuple[float, float] = (50.0, 0.1)
    """The temperatures of the boundary in the first and the last epoch; used only if the dimension is learned."""


@dataclass(frozen=True, eq=False)
class Subspace:
    """A learned subspace of one hook point, and its scores.

    Attributes:
        hook_point: The hook point that it is a subspace of.
        basis: Orthonormal columns.
        heldout: Share of held-out pairs on which the intervention gives the target.
        arbitrary: The same for a subspace trained in the same way on arbitrary targets, against those targets.
    """

    hook_point: HookPoint
    basis: Float[Tensor, "width rank"]
    heldout: float
    arbitrary: float


def learn_subspace(
    model: HookedModel,
    layer: int,
    pair: str,
    batches: Sequence[Batch],
    targets: Targets,
    heldout: Sequence[Batch],
    heldout_targets: Targets,
    *,
    rank: int | None,
    fit: Fit | None = None,
) -> Subspace:
    """Find the subspace of a block's output whose intervention gives the targets, and the arbitrary-target baseline.

    Costs one base and one source run of all pairs and, twice, in each epoch the blocks after `layer`, forward and back.

    Args:
        model: A classifier in the student's role; its weights stay as they are.
        layer: The layer whose block output is searched.
        pair: The site pair whose positions are used.
        batches: Training pairs with separate sources.
        targets: The target class of each of their counterfactuals: a teacher's counterfactual predictions, or
            the labels of a known causal model.
        heldout: Other pairs, on which the subspace is scored.
        heldout_targets: The target classes of the held-out pairs.
        rank: Dimension of the subspace; None means that it is learned too.
        fit: The training settings.

    Raises:
        ValueError: The model is a teacher, through which no gradient flows, or not a classifier; or there are no
            batches, or none with separate sources.
    """
    check_learnable(model)
    for given in (batches, heldout):
        check_given(given, "a subspace that is learned")
    fit, hook_point = fit or Fit(), model.hook_point("block_output", layer)
    _check_fit(hook_point, rank, fit)
    for given, wanted in ((batches, targets), (heldout, heldout_targets)):
        _check_pairs(given, pair, wanted)
    with torch.inference_mode(False), torch.enable_grad(), evaluating([model]):
        seen, unseen = (_prepare(model, hook_point, pair, given) for given in (batches, heldout))
        basis = _fit(model, hook_point, seen, targets, rank, fit)
        classes = len(label_names(model))
        noise = [arbitrary_targets(part.keys, classes, fit.seed) for part in (seen, unseen)]
        other = _fit(model, hook_point, seen, noise[0], basis.shape[1], fit)
        scores = [
            _accuracy(model, hook_point, unseen, wanted, SubspaceInterchange(found))
            for found, wanted in ((basis, heldout_targets), (other, noise[1]))
        ]
    return Subspace(hook_point, basis, *scores)


def check_learnable(model: HookedModel) -> None:
    """Refuses a model in which no subspace can be learned.

    Raises:
        ValueError: The model is a teacher, through which no gradient flows, or not a classifier.
    """
    if model.role != "student" or model.task != "classification":
        raise ValueError(
            f"subspaces are learned in a classifier in the student's role; this is a {model.task} {model.role}. Load "
            "it with task='classification', role='student'"
        )


def _check_fit(hook_point: HookPoint, rank: int | None, fit: Fit) -> None:
    if rank is not None and not 0 < rank <= hook_point.width:
        raise ValueError(f"rank {rank} given; {hook_point.name} has 1–{hook_point.width} directions")
    if fit.epochs < 1:
        raise ValueError(f"{fit.epochs} epochs given; a subspace is learned in at least 1")


def _check_pairs(batches: Sequence[Batch], pair: str, targets: Targets) -> None:
    rows, positions = 0, 0
    for batch in batches:
        if pair not in batch.positions:
            raise ValueError(f"a batch has no positions for {pair!r}, only for {sorted(batch.positions)}")
        rows += len(batch.counted)
        positions += int(batch.positions[pair].valid.sum())
    if targets.shape != (rows,):
        raise ValueError(f"the targets have shape {tuple(targets.shape)}; give one class for each of the {rows} pairs")
    if not positions:
        raise ValueError(f"no row has a position for {pair!r}, so no intervention would change anything")


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pairs with the activations at the hook point in base and source, batch by batch."""

    inputs: list[Inputs]
    base: list[Tensor]
    source: list[Tensor]
    positions: list[Positions]
    keys: list[tuple[int, ...]]
    """The tokens of each source without its padding, by which arbitrary targets are chosen."""


def _prepare(model: HookedModel, hook_point: HookPoint, pair: str, batches: Sequence[Batch]) -> _Pairs:
    found = _Pairs([], [], [], [], [])
    with torch.no_grad():
        for batch in batches:
            batch = batch.read_by(model.role).to(model.model.device)
            source = separate_source(batch, "a subspace that is learned")
            found.inputs.append(batch.inputs)
            found.base.append(model.read(batch.inputs, [hook_point]).activations[hook_point])
            found.source.append(model.read(source, [hook_point]).activations[hook_point])
            found.positions.append(batch.positions[pair])
            ids, real = source["input_ids"], source["attention_mask"].bool()
            found.keys.extend(tuple(row[counts].tolist()) for row, counts in zip(ids, real, strict=True))
    return found


def _fit(
    model: HookedModel, hook_point: HookPoint, pairs: _Pairs, targets: Targets, rank: int | None, fit: Fit
) -> Tensor:
    """The basis of the trained subspace."""
    device, boundaries = model.model.device, []
    rotation: Any  # torch cannot distinguish a module's parameters from its methods
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(fit.seed)
        if rank is None:
            rotation = BoundlessRotatedSpaceIntervention(embed_dim=hook_point.width).to(device)
            boundaries = [rotation.intervention_boundaries]
        else:
            rotation = LowRankRotatedSpaceIntervention(embed_dim=hook_point.width, low_rank_dimension=rank).to(device)
    learned = [*rotation.rotate_layer.parameters(), *boundaries]
    optimizer = torch.optim.Adam(learned, lr=fit.learning_rate)
    random = np.random.default_rng(fit.seed)
    wanted = targets.to(device).split([len(base) for base in pairs.base])
    for temperature in np.geomspace(*fit.temperatures, fit.epochs):
        if boundaries:
            rotation.set_temperature(torch.tensor(float(temperature), device=device))
        for number in random.permutation(len(wanted)).tolist():
            logits = _logits(model, hook_point, pairs, number, rotation)
            loss = functional.cross_entropy(logits, wanted[number]) + sum(part.sum() for part in boundaries)
            # Only the rotation gets gradients; the model's parameters do not.
            for parameter, gradient in zip(learned, torch.autograd.grad(loss, learned), strict=True):
                parameter.grad = gradient
            optimizer.step()
    with torch.no_grad():
        count = rank or max(1, round(float(rotation.intervention_boundaries.clamp(0, 1)) * hook_point.width))
        found = orthonormal(rotation.rotate_layer.weight[:, :count].cpu().numpy())
        return torch.from_numpy(found).to(rotation.rotate_layer.weight)


def _logits(
    model: HookedModel, hook_point: HookPoint, pairs: _Pairs, number: int, intervene: Interchange
) -> Float[Tensor, "batch label"]:
    """The counterfactual logits of one batch, computed from the block after the hook point on."""
    positions, changed = pairs.positions[number], pairs.base[number].clone()
    row = torch.arange(len(changed), device=changed.device)[:, None].expand_as(positions.valid)[positions.valid]
    at, source_at = (row, positions.base[positions.valid]), (row, positions.source[positions.valid])
    changed[at] = intervene(pairs.base[number][at], pairs.source[number][source_at]).to(changed)
    with model.resumed(hook_point.layer + 1, changed):
        return model.run(pairs.inputs[number]).logits


def _accuracy(
    model: HookedModel, hook_point: HookPoint, pairs: _Pairs, targets: Targets, intervene: Interchange
) -> float:
    found = []
    with torch.no_grad():
        for number, positions in enumerate(pairs.positions):
            logits = _logits(model, hook_point, pairs, number, intervene)
            found.append(predictions(model.task, logits, positions.valid).choice)
    return float(same(torch.cat(found).cpu(), targets).double().mean())
