"""Both models' counterfactuals: against plain hooks, made once a step, and what a batch must have for them."""

from dataclasses import replace

import pytest
import torch

from causalkd.objectives.counterfactual_terms import counterfactuals, crossed_counterfactuals
from causalkd.objectives.diito import DIITO
from tests.alignment.interventions import PAIRS
from tests.objectives.steps import BASE, CROSSED, ROWS, SOURCE, aligned, batch_of, models, slow, step_of


@pytest.mark.parametrize("inside", [False, True])
def test_both_directions_equal_plain_hooks(inside: bool) -> None:
    teacher, student = models()
    resolved = aligned(teacher, student)
    batch = batch_of(inside=inside)
    run = step_of(DIITO(resolved, teacher, student), teacher, student, batch)
    source = {name: tensor[ROWS] for name, tensor in BASE.items()} if inside else SOURCE
    plain, crossed = (each(run, resolved.pairs[0]) for each in (counterfactuals, crossed_counterfactuals))
    for model, layer, mine, back in (
        (teacher, 1, plain.teacher, crossed.teacher),
        (student, 0, plain.student, crossed.student),
    ):
        torch.testing.assert_close(mine.logits, slow(model, layer, BASE, source, PAIRS).logits)
        torch.testing.assert_close(back.logits, slow(model, layer, source, BASE, CROSSED).logits)
    assert plain.batch is batch
    assert torch.equal(crossed.batch.counted, source["attention_mask"].bool())
    assert crossed.batch.source is None and crossed.batch.source_rows is None


def test_source_rows_of_the_batch_bring_their_labels() -> None:
    teacher, student = models()
    resolved = aligned(teacher, student)
    for inside in (True, False):
        batch = batch_of(inside=inside)
        run = step_of(DIITO(resolved, teacher, student), teacher, student, batch)
        labels = crossed_counterfactuals(run, resolved.pairs[0]).batch.labels
        assert batch.labels is not None
        assert labels is None if not inside else torch.equal(labels, batch.labels[ROWS])  # type: ignore[arg-type]


def test_they_are_made_once_a_step() -> None:
    teacher, student = models()
    resolved = aligned(teacher, student, ("second", 2, 1))
    objective = DIITO(resolved, teacher, student)
    batch = batch_of(names=("first", "second"))
    run, again = (step_of(objective, teacher, student, batch) for _ in range(2))
    first, second = resolved.pairs
    assert counterfactuals(run, first) is counterfactuals(run, first)
    assert crossed_counterfactuals(run, first) is crossed_counterfactuals(run, first)
    made = [counterfactuals(run, first), crossed_counterfactuals(run, first), counterfactuals(run, second)]
    assert len({id(each) for each in made}) == 3
    assert counterfactuals(again, first) is not counterfactuals(run, first)


def test_a_batch_without_sources_or_positions() -> None:
    teacher, student = models()
    resolved = aligned(teacher, student)
    objective = DIITO(resolved, teacher, student)
    bare = replace(batch_of(), source=None)
    with pytest.raises(ValueError, match="needs sources and this batch has none; collate with PairingCollator"):
        objective(step_of(objective, teacher, student, bare))
    other = batch_of(names=("late", "early"))
    with pytest.raises(ValueError, match=r"positions for the site pairs \['early', 'late'\], not for 'first'"):
        objective(step_of(objective, teacher, student, other))
