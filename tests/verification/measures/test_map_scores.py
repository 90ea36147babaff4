from dataclasses import replace

import numpy as np
import pytest
import torch

from causalkd.attribution.faithfulness import Faithfulness
from causalkd.verification.measures.map_scores import (
    agreement_row,
    estimate,
    faithfulness_row,
    gap_row,
    large_gaps,
    text_agreement,
)
from causalkd.verification.results.attribution import Estimate
from tests.example_maps import example_maps

TEACHER, STUDENT = example_maps(seed=0)[0], example_maps(seed=1)[1]


def test_an_estimate_counts_what_is_defined() -> None:
    values = np.random.default_rng(0).normal(2, 1, 200)
    found = estimate(np.array([*values, np.nan]), seed=0)
    assert found.mean == pytest.approx(values.mean()) and found.n == 200
    assert found.low is not None and found.high is not None and found.low < values.mean() < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 / np.sqrt(200), rel=0.15)
    assert found == estimate(values, seed=0) != estimate(values, seed=1)
    assert estimate(np.array([np.nan]), seed=0) == Estimate(None, None, None, 0)
    assert estimate(np.array([np.nan, 0.5]), seed=0) == Estimate(0.5, None, None, 1)
    assert estimate(np.full(3, 0.5), seed=0) == Estimate(0.5, 0.5, 0.5, 3)


def test_agreement_with_itself_with_another_and_with_chance() -> None:
    same = agreement_row("kd", 1, "measured", 0, TEACHER, TEACHER, draw=0)
    assert (same.cosine.mean, same.spearman.mean, same.overlap.mean) == pytest.approx((1, 1, 1))
    other = agreement_row("kd", 1, "measured", 2, TEACHER, STUDENT, draw=0)
    assert (other.teacher_hook_point, other.student_hook_point, other.layer) == (
        "blocks.0.hook_in",
        "blocks.0.hook_out",
        2,
    )
    assert other.cosine.mean == pytest.approx(float(np.mean(text_agreement(TEACHER, STUDENT)))) and other.cosine.n == 4
    chance = agreement_row("kd", 1, "random_map", 2, TEACHER, TEACHER, draw=0)
    assert chance.cosine.mean is not None and abs(chance.cosine.mean) < 0.5
    assert chance == agreement_row("kd", 1, "random_map", 2, TEACHER, TEACHER, draw=0)
    assert chance.overlap_chance == pytest.approx(np.mean([2 / 5, 2 / 6, 2 / 7, 2 / 8]))


def test_a_text_whose_map_is_zero_counts_in_no_mean() -> None:
    scores = TEACHER.scores.clone()
    scores[:, 2] = 0
    found = agreement_row("kd", 0, "measured", 0, replace(TEACHER, scores=scores), STUDENT, draw=0)
    assert found.cosine.n == 3 and np.isnan(text_agreement(replace(TEACHER, scores=scores), STUDENT)[2])
    scores = TEACHER.scores.clone()
    scores[0, 2] = 0  # of one view only: the others count
    assert agreement_row("kd", 0, "measured", 0, replace(TEACHER, scores=scores), STUDENT, draw=0).cosine.n == 4


def test_tokens_that_cannot_matter_are_not_compared() -> None:
    dead = torch.zeros_like(TEACHER.mask)
    dead[:, 3:] = True
    one, other = (replace(each, scores=each.scores.masked_fill(dead, 0)) for each in (TEACHER, STUDENT))
    found = agreement_row("kd", 0, "measured", 0, one, other, draw=0)
    alone = replace(one, mask=one.mask & ~dead), replace(other, mask=other.mask & ~dead)
    assert found == agreement_row("kd", 0, "measured", 0, *alone, draw=0)
    assert found.overlap_chance == pytest.approx(1 / 3)  # one token of the three that are left
    chance = agreement_row("kd", 0, "random_map", 0, one, other, draw=0)
    assert chance.overlap_chance == found.overlap_chance and chance.cosine.n == 4


def test_maps_of_other_texts_or_views_do_not_compare() -> None:
    with pytest.raises(ValueError, match=r"maps are of 4 and 3 texts whose tokens differ, first in text 0"):
        text_agreement(TEACHER, example_maps(texts=3)[0])
    tokens = (*TEACHER.tokens[:2], ("other",) * 8, TEACHER.tokens[3])
    with pytest.raises(ValueError, match="tokens differ, first in text 2; compare maps of the same texts"):
        text_agreement(TEACHER, replace(TEACHER, tokens=tokens))
    with pytest.raises(ValueError, match=r"explain different views, .*neutral.* and \['contradiction', 'entailment'\]"):
        text_agreement(TEACHER, example_maps(views=2)[0])


def test_faithfulness_is_averaged_over_texts_that_have_it() -> None:
    comprehensiveness = torch.tensor([[0.6, 0.2, torch.nan]])
    ends = {"lower": torch.tensor([[0.0, 0.0, torch.nan]]), "upper": torch.tensor([[0.8, 0.2, torch.nan]])}
    found = Faithfulness(comprehensiveness, comprehensiveness / 2, comprehensiveness / 4, **ends)
    row = faithfulness_row("kd", 0, "measured", found, draw=0)
    assert (row.comprehensiveness.mean, row.comprehensiveness.n) == (pytest.approx(0.4), 2)
    assert row.normalised_comprehensiveness.mean == pytest.approx((0.75 + 1) / 2)
    assert row.normalised_sufficiency.mean == pytest.approx((0.375 + 0.5) / 2)
    assert row.normalised_random.mean == pytest.approx((0.1875 + 0.25) / 2)


def test_the_gap_stands_beside_what_is_explained() -> None:
    row = gap_row("kd", 0, TEACHER)  # its scores add up to s with a gap of s / 10, so s − s / 10 was explained
    total = float(TEACHER.scores.sum(-1).abs().double().mean())
    assert (row.gap, row.explained) == pytest.approx((0.1 * total, 0.9 * total))
    assert (row.hook_point, row.attention) == ("blocks.0.hook_in", "sdpa")


def test_large_gaps_are_reported_once_a_model_with_what_was_measured() -> None:
    row = gap_row("kd", 1, TEACHER)
    small, large, larger = (replace(row, explained=2.0, gap=gap, hook_point=f"blocks.{gap}") for gap in (0.4, 1.0, 1.5))
    assert large_gaps([small, replace(small, explained=0.0, gap=0.0)], 32, "zero") == []
    assert large_gaps([small, large, larger, replace(small, model="teacher", seed=None)], 32, "zero") == [
        "the maps of kd, seed 1, at blocks.1.5 do not add up: after 32 steps from the baseline zero the scores miss a "
        "mean change of 2 by 1.5; take more steps, or another baseline"
    ]
    (told,) = large_gaps([replace(larger, model="teacher", seed=None, explained=0.0)], 8, "mean")
    assert told.startswith("the maps of teacher at blocks.1.5 do not add up: after 8 steps from the baseline mean")
