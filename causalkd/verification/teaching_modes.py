"""Teaching modes: what a teacher says about each labelled token, which mode ATKD would teach it in, and where IIA lies.

The modes are ATKD's (Zhong et al. 2024, arXiv 2402.11890): an easy token is taught its diversity only, a hard one all.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from causalkd.alignment.resolve import ResolvedAlignment
from causalkd.data.batch import Batch
from causalkd.data.counted import TOKEN_TASKS, counted_tokens, flat_positions, targets
from causalkd.losses.uncertainty import decoupled, hard_tokens, log_odds
from causalkd.models.hooked import HookedModel
from causalkd.models.modes import evaluating
from causalkd.verification.cells import Side
from causalkd.verification.exchanges import Exchanges
from causalkd.verification.predictions import same
from causalkd.verification.teaching_results import Mode, ModeAccuracy, TeachingModes


def teaching_modes(
    teacher: HookedModel, student: HookedModel, batches: Sequence[Batch], hard_fraction: float = 0.5
) -> TeachingModes:
    """The teaching mode of every labelled token and the student's distance in it. Costs one forward of each model.

    Args:
        teacher: Whose uncertainty decides.
        student: Who is compared with it.
        batches: Labelled texts.
        hard_fraction: The share of hard tokens, over all batches together.

    Raises:
        ValueError: The heads predict no tokens, or the batches have no labels.
    """
    _check(teacher, batches)
    parts, texts = [], 0
    with torch.no_grad(), evaluating([teacher, student]):
        for batch in batches:
            batch = batch.to(teacher.model.device)
            row, position, odds, target, diversity = _of_batch(teacher, student, batch)
            parts.append((row + texts, position, odds, target, diversity))
            texts += len(batch.counted)
    row, position, odds, target, diversity = (torch.cat(each).cpu() for each in zip(*parts, strict=True))
    hard = hard_tokens(odds, fraction=hard_fraction)
    return TeachingModes(*(each.numpy() for each in (row, position, odds.sigmoid(), hard, target, diversity)))


def accuracy_by_mode(
    teacher: HookedModel,
    student: HookedModel,
    alignment: ResolvedAlignment,
    batches: Sequence[Batch],
    hard_fraction: float = 0.5,
) -> tuple[ModeAccuracy, ...]:
    """Interchange accuracy at the declared pairs, over the teacher's easy and over its hard tokens of base.

    Costs per model a forward of base and of source, and for each pair the blocks after it.

    Args:
        teacher: Whose counterfactual predictions are the truth, and whose uncertainty on base tells easy from hard.
        student: Who is measured.
        alignment: The pairs, resolved against both.
        batches: Labelled held-out pairs, with a source and positions for every declared pair.
        hard_fraction: The share of hard tokens, over all batches together.

    Raises:
        ValueError: The heads predict no tokens, or the batches have no labels.
    """
    _check(teacher, batches)
    sides = [
        tuple(Side(pair.name, each, pair.name) for each in (pair.teacher, pair.student)) for pair in alignment.pairs
    ]
    odds: list[Tensor] = []
    tallies: dict[str, list[Tensor]] = {pair.name: [] for pair in alignment.pairs}
    with torch.no_grad(), evaluating([teacher, student]):
        for batch in batches:
            batch = batch.to(teacher.model.device)
            given, found = (
                Exchanges.of(model, of_model, batch)
                for model, of_model in zip((teacher, student), zip(*sides, strict=True), strict=True)
            )
            odds.append(-log_odds(given.base.item_logits, _labels(teacher, batch, given.base.logits_at)))
            for of_teacher, of_student in sides:
                truth = given.counterfactual(of_teacher).predictions.choice
                match = same(truth, found.counterfactual(of_student).predictions.choice)
                tallies[of_teacher.name].append(torch.stack([match, ~same(truth, given.plain().choice)]))
    hard = hard_tokens(torch.cat(odds), fraction=hard_fraction)
    modes: dict[Mode, Tensor] = {"easy": ~hard, "hard": hard}
    return tuple(
        _accuracy(name, mode, *torch.cat(parts, 1)[:, chosen])
        for name, parts in tallies.items()
        for mode, chosen in modes.items()
    )


def _check(model: HookedModel, batches: Sequence[Batch]) -> None:
    if model.task not in TOKEN_TASKS:
        raise ValueError(f"teaching modes are of tokens, and the head is of {model.task}; give language models")
    if not batches or any(batch.labels is None for batch in batches):
        raise ValueError(
            f"teaching modes need gold tokens; of {len(batches)} batches some have no labels, or none came"
        )


def _of_batch(teacher: HookedModel, student: HookedModel, batch: Batch) -> tuple[Tensor, ...]:
    counted = counted_tokens(teacher.task, batch, "labelled")
    assert counted is not None
    at = flat_positions(counted)
    gold = _labels(teacher, batch, at)
    s, t = (model.run(batch.inputs, logits_at=at).item_logits for model in (student, teacher))
    row, position = counted.nonzero(as_tuple=True)
    target, diversity = decoupled(s, t, gold, 1.0, 0.0), decoupled(s, t, gold, 0.0, 1.0)
    position = position - batch.counted.long().argmax(1)[row] + (teacher.task == "causal_lm")
    return row, position, -log_odds(t, gold), target, diversity


def _labels(model: HookedModel, batch: Batch, at: Int[Tensor, "item"] | None) -> Int[Tensor, "item"]:
    assert batch.labels is not None and at is not None
    return targets(model.task, batch.labels).flatten()[at]


def _accuracy(pair: str, mode: Mode, match: Tensor, effective: Tensor) -> ModeAccuracy:
    iia, of_effective = (each.float().mean().item() if len(each) else None for each in (match, match[effective]))
    return ModeAccuracy(pair, mode, iia, of_effective, int(effective.sum()), len(match))
