"""The teacher's part of AD-KD: the drawn position, the explained logits, equal settings."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from causalkd.data.batch import IGNORED
from causalkd.data.token_mask import flat_positions
from causalkd.objectives.teacher_map import TeacherMap, explained_logits
from tests.objectives.steps import batch_of, models
from tests.tiny import VOCABULARY

TEACHER, _ = models()
ASKED = TeacherMap(TEACHER.hook_point("block_input", 0), 2, "loss", 1, 32)


def test_a_labelled_position_is_drawn_for_each_example() -> None:
    batch = replace(batch_of(), index=torch.tensor([7, 3, 4, 5]))
    position, valid = ASKED.position("masked_lm", batch) or pytest.fail("there is a position")
    assert batch.labels is not None and valid.all()
    assert (batch.labels.gather(1, position[:, None]) != IGNORED).all()
    same = ASKED.position("masked_lm", batch)
    assert same is not None and torch.equal(same[0], position)
    drawn = {
        tuple(found[0].tolist())
        for seed in range(8)
        if (found := replace(ASKED, seed=seed).position("masked_lm", batch)) is not None
    }
    assert len(drawn) > 1
    assert ASKED.position("classification", batch) is None


def test_a_row_without_labels_is_not_valid_and_has_no_logits() -> None:
    batch = batch_of()
    assert batch.labels is not None
    labels = batch.labels.clone()
    labels[2] = IGNORED
    batch = replace(batch, labels=labels)
    found = ASKED.position("masked_lm", batch)
    assert found is not None and found[1].tolist() == [True, True, False, True]
    whole = TEACHER.run(batch.inputs)
    logits = explained_logits(whole, found)
    assert logits[2].abs().max() == 0
    for row in (0, 1, 3):
        assert torch.equal(logits[row], whole.logits[row, found[0][row]])
    # The same from a run that predicts at labelled positions only.
    at = flat_positions(labels != IGNORED)
    torch.testing.assert_close(explained_logits(TEACHER.run(batch.inputs, logits_at=at), found), logits)


def test_a_batch_without_any_label_has_no_logits_but_a_graph() -> None:
    batch = batch_of()
    batch = replace(batch, labels=torch.full_like(batch.counted.long(), IGNORED))
    found = ASKED.position("masked_lm", batch)
    assert found is not None and not found[1].any()
    run = TEACHER.run(batch.inputs, logits_at=torch.zeros(0, dtype=torch.long), graph=True)
    logits = explained_logits(run, found)
    assert (
        logits.shape == (4, VOCABULARY) and logits.abs().max() == 0 and logits.requires_grad == run.logits.requires_grad
    )


def test_equal_settings_are_equal() -> None:
    assert replace(ASKED) == ASKED and hash(replace(ASKED)) == hash(ASKED)
    assert replace(ASKED, steps=2).key != ASKED.key
    assert replace(ASKED, seed=5).key == ASKED.key  # the drawn position is kept beside it


def test_rows_that_count() -> None:
    batch = batch_of("classification")
    labels = torch.tensor([2, IGNORED, 0, IGNORED])
    by_label, every = replace(ASKED, views="label"), replace(ASKED, views="all")
    assert every.valid("classification", replace(batch, labels=labels)) is None
    valid = by_label.valid("classification", replace(batch, labels=labels))
    assert valid is not None and valid.tolist() == [True, False, True, False]
    assert by_label.amount("classification", replace(batch, labels=labels)) == batch.counted[valid].sum()
    assert by_label.valid("regression", replace(batch, labels=torch.randn(4))) is None


@pytest.mark.parametrize("labels", [torch.tensor([0, 5, 3, 1]), torch.tensor([[0.0], [5.0], [3.0], [1.0]])])
def test_labels_of_a_regression_are_numbers_whatever_their_kind(labels: Tensor) -> None:
    asked, batch = replace(ASKED, views="label"), replace(batch_of("regression"), labels=labels)
    assert asked.valid("regression", batch) is None
    views = asked.fixed_views("regression", batch, 1)
    assert views.goal is not None and views.goal.tolist() == [0.0, 5.0, 3.0, 1.0] and not views.choice.any()


def test_a_packed_position_is_reached_from_its_own_document_only() -> None:
    batch = batch_of("causal_lm")
    documents = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2, 2]).expand(4, -1)
    packed = replace(batch, inputs={**batch.inputs, "documents": documents})
    found = ASKED.position("causal_lm", packed)
    assert found is not None
    expected = sum(
        int(counted and position <= at and document[position] == document[at] and valid)
        for at, valid, row, document in zip(*map(torch.Tensor.tolist, (*found, packed.counted, documents)), strict=True)
        for position, counted in enumerate(row)
    )
    assert ASKED.amount("causal_lm", packed) == expected < ASKED.amount("causal_lm", batch)


def test_no_label_to_explain() -> None:
    batch = replace(batch_of("classification"), labels=None)
    with pytest.raises(ValueError, match="adkd explains the label, and the data have none"):
        replace(ASKED, views="label").fixed_views("classification", batch, 3)
