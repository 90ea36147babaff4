"""Both models' counterfactuals: against plain hooks, made once a step, and what a batch must have for them."""

from dataclasses import replace

import pytest
import torch

from causalkd.alignment.resolve import ResolvedPair
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.objectives.base import StepContext, Weighted, hook_points_of
from causalkd.objectives.counterfactual_terms import _name, counterfactuals, crossed_counterfactuals
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


@pytest.mark.parametrize("inside", [False, True])
def test_pairs_of_one_name_in_two_alignments_are_two(inside: bool) -> None:
    teacher, student = models()
    batch = batch_of(inside=inside)
    first, other = (
        DIITO(aligned(teacher, student, first=("first", *layers)), teacher, student) for layers in ((1, 0), (0, 1))
    )
    kept = {"a": Weighted(1.0, first), "b": Weighted(1.0, other)}
    points = hook_points_of(kept)
    together = StepContext(
        student, batch, student.run(batch.inputs, points.student), teacher, teacher.run(batch.inputs, points.teacher)
    )
    for objective in (first, other):
        torch.testing.assert_close(objective(together), objective(step_of(objective, teacher, student, batch)))


def test_what_is_resolved_twice_is_run_once() -> None:
    teacher, student = models()
    one, same = (aligned(teacher, student) for _ in range(2))
    run = step_of(DIITO(one, teacher, student), teacher, student, batch_of())
    assert counterfactuals(run, one.pairs[0]) is counterfactuals(run, same.pairs[0])


def test_the_name_for_a_cache_holds_every_bit_of_a_basis() -> None:
    hook_point = models()[0].hook_point("block_output", 0)
    basis, other = (torch.eye(64)[:, :32] for _ in range(2))
    other[40, 3] = 1e-7
    sites = [ResolvedSite(hook_point, basis=each) for each in (basis, other)]
    assert repr(sites[0]) == repr(sites[1])  # torch leaves out the middle of a large tensor
    names = {_name(ResolvedPair("first", (site,), (), PositionPolicy(policy="all"))) for site in sites}
    assert len(names) == 2
