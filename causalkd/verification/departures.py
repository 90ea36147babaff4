"""Where a student departs: the pairs on which the teacher's answer follows the source and the student's stays."""

from collections.abc import Sequence

import torch
from torch import Tensor

from causalkd.alignment.resolve import ResolvedAlignment
from causalkd.data.batch import Batch
from causalkd.data.positions import Positions
from causalkd.models.hooked import HookedModel
from causalkd.models.load import label_names
from causalkd.models.modes import evaluating
from causalkd.models.run import Inputs
from causalkd.verification.cells import Side
from causalkd.verification.exchanges import Exchanges
from causalkd.verification.findings import Departure
from causalkd.verification.predictions import Predictions, divergence


def departures(
    teacher: HookedModel,
    student: HookedModel,
    alignment: ResolvedAlignment,
    batches: Sequence[Batch],
    *,
    name: str,
    seed: int,
    most: int = 5,
) -> tuple[Departure, ...]:
    """For each declared pair the departures of largest divergence, largest first.

    Costs a base run, a source run and a counterfactual of both models for every declared pair.

    Args:
        teacher: A classifier with a tokenizer.
        student: Another.
        alignment: Resolved against them.
        batches: Held-out pairs with separate sources.
        name: Of the student, in the rows.
        seed: Of the student, in the rows.
        most: How many of each declared pair.
    """
    found: list[Departure] = []
    with torch.no_grad(), evaluating([teacher, student]):
        for pair in alignment.pairs:
            sides = [Side(pair.name, sites, pair.name) for sites in (pair.teacher, pair.student)]
            telling: list[tuple[float, Batch, int, list[Predictions]]] = []
            for batch in batches:
                batch = batch.to(teacher.model.device)
                answers = _answers((teacher, student), sides, batch)
                stays, gap = _stays(answers), divergence(answers[1], answers[3])
                telling += [(float(gap[row]), batch, row, answers) for row in stays.nonzero()[:, 0].tolist()]
                telling = sorted(telling, key=lambda each: -each[0])[:most]
            found += [
                _departure(teacher, batch, row, answers, (name, seed, pair.name), kl)
                for kl, batch, row, answers in telling
            ]
    return tuple(found)


def _answers(models: Sequence[HookedModel], sides: Sequence[Side], batch: Batch) -> list[Predictions]:
    """The teacher's plain and counterfactual predictions, then the student's."""
    found: list[Predictions] = []
    for model, side in zip(models, sides, strict=True):
        exchanges = Exchanges.of(model, [side], batch)
        found += [exchanges.plain(), exchanges.counterfactual(side).predictions]
    return found


def _stays(answers: Sequence[Predictions]) -> Tensor:
    """Where the exchange changes the teacher's prediction and leaves the student's, which then differ."""
    taught, exchanged, own, after = (each.choice for each in answers)
    return (taught != exchanged) & (own == after) & (after != exchanged)


def _departure(
    model: HookedModel, batch: Batch, row: int, answers: Sequence[Predictions], key: tuple[str, int, str], kl: float
) -> Departure:
    names, (taught, exchanged, own, after) = label_names(model), answers
    assert batch.source is not None and model.tokenizer is not None
    answer = int(exchanged.choice[row])
    return Departure(
        *key,
        base=_text(model, batch.inputs, row),
        source=_text(model, batch.source, row),
        exchanged=_exchanged(model, batch, batch.positions[key[2]], row),
        teacher=names[int(taught.choice[row])],
        teacher_counterfactual=names[answer],
        student=names[int(own.choice[row])],
        student_counterfactual=names[int(after.choice[row])],
        teacher_probability=float(exchanged.log_probabilities[row, answer].exp()),
        student_probability=float(after.log_probabilities[row, answer].exp()),
        kl=kl,
    )


def _text(model: HookedModel, inputs: Inputs, row: int) -> str:
    assert model.tokenizer is not None
    real = inputs["input_ids"][row][inputs["attention_mask"][row].bool()]
    return str(model.tokenizer.decode(real, skip_special_tokens=True))


def _exchanged(model: HookedModel, batch: Batch, positions: Positions, row: int) -> tuple[tuple[str, str], ...]:
    """The tokens at the exchanged positions, of base and of source."""
    assert batch.source is not None and model.tokenizer is not None
    valid = positions.valid[row]
    sides = ((batch.inputs, positions.base), (batch.source, positions.source))
    words = [model.tokenizer.convert_ids_to_tokens(i["input_ids"][row][at[row][valid]].tolist()) for i, at in sides]
    return tuple(zip(*words, strict=True))
