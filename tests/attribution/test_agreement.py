import numpy as np
import pytest
import torch
from scipy import stats

from causalkd.attribution.agreement import agreement, random_scores


def _maps(views: int = 3, batch: int = 5, pos: int = 12, seed: int = 0):
    """Two unrelated maps with ties, and a mask of rows of unlike length, padded left or right."""
    random = torch.Generator().manual_seed(seed)
    one, other = (torch.randn(views, batch, pos, generator=random).mul(3).round() / 3 for _ in range(2))
    lengths = torch.tensor([12, 9, 5, 3, 2])[:batch]
    right = torch.arange(pos) < lengths[:, None]
    mask = torch.where((torch.arange(batch) % 2 == 0)[:, None], right, right.flip(1))
    return one, other, mask.expand(views, batch, pos)


def _row_by_row(function, one, other, mask):
    rows = zip(one.flatten(0, 1), other.flatten(0, 1), mask.flatten(0, 1), strict=True)
    return np.array([function(a[m].double().numpy(), b[m].double().numpy()) for a, b, m in rows]).reshape(
        mask.shape[:2]
    )


def _top(scores: np.ndarray, draw: np.random.Generator) -> set[int]:
    """The quarter of the tokens with the largest magnitudes, those that tie in a random order."""
    order = draw.permutation(len(scores))
    return {int(i) for i in order[np.argsort(-np.abs(scores[order]), kind="stable")][: -(-len(scores) // 4)]}


def test_cosine_and_spearman_are_those_of_scipy_on_the_real_tokens():
    one, other, mask = _maps()
    found = agreement(one, other, mask)
    cosine = _row_by_row(lambda a, b: a @ b / np.sqrt((a @ a) * (b @ b)), one, other, mask)
    spearman = _row_by_row(lambda a, b: stats.spearmanr(a, b).statistic, one, other, mask)
    np.testing.assert_allclose(found.cosine, cosine, rtol=1e-12)
    np.testing.assert_allclose(found.spearman, spearman, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_map_that_is_not_finite_agrees_in_no_measure(wrong):
    first, mask = torch.randn(3, 6, generator=torch.Generator().manual_seed(0)), torch.ones(3, 6, dtype=torch.bool)
    mask[2, 5] = False
    second = first.clone()
    second[0, 2] = second[2, 5] = wrong
    for one, other in ((first, second), (second, first)):
        found = agreement(one, other, mask)
        for values in (found.cosine, found.spearman, found.overlap):
            assert np.isnan(values).tolist() == [True, False, False]


def test_overlap_is_the_mean_over_random_orders_of_ties():
    one, other, mask = _maps()
    draw = np.random.default_rng(1)

    def share(a, b):
        k = -(-len(a) // 4)
        return np.mean([len(_top(a, draw) & _top(b, draw)) / k for _ in range(1500)])

    found = agreement(one, other, mask)
    np.testing.assert_allclose(found.overlap, _row_by_row(share, one, other, mask), atol=0.06)
    np.testing.assert_allclose(found.chance[0], [3 / 12, 3 / 9, 2 / 5, 1 / 3, 1 / 2])


def test_scale_padding_and_order_of_the_two_do_not_matter():
    one, other, mask = _maps()
    found = agreement(one, other, mask)
    padded = agreement((one * 7e-30).masked_fill(~mask, 1e9), other.masked_fill(~mask, torch.nan), mask)
    swapped = agreement(other, one, mask)
    for name in ("cosine", "spearman", "overlap"):
        np.testing.assert_allclose(getattr(padded, name), getattr(found, name), rtol=1e-6)
        np.testing.assert_allclose(getattr(swapped, name), getattr(found, name), rtol=1e-12)


def test_a_map_agrees_with_itself_and_not_with_its_opposite():
    scores = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(scores, dtype=torch.bool)
    same, opposite = agreement(scores, scores, mask), agreement(scores, -scores, mask)
    np.testing.assert_allclose([same.cosine, same.spearman, same.overlap], 1)
    np.testing.assert_allclose([opposite.cosine, opposite.spearman], -1)
    np.testing.assert_allclose(opposite.overlap, 1)  # the same tokens matter, though the other way


def test_what_is_not_defined_is_nan():
    scores, zero = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.zeros(1, 4)
    mask = torch.ones_like(scores, dtype=torch.bool)
    flat = agreement(scores, zero, mask)
    assert np.isnan(flat.cosine).all() and np.isnan(flat.spearman).all()
    assert flat.overlap == flat.chance == 0.25  # no token is on top more than another
    constant = agreement(scores, zero + 2, mask)
    assert not np.isnan(constant.cosine).any() and np.isnan(constant.spearman).all()
    empty = agreement(scores, scores, ~mask)
    assert all(np.isnan(each).all() for each in (empty.cosine, empty.spearman, empty.overlap, empty.chance))


def test_a_random_map_scores_what_chance_does():
    one, _, mask = _maps(views=1)
    many = one.expand(4000, -1, -1)
    found = agreement(many, random_scores(many, torch.Generator().manual_seed(0)), mask.expand_as(many))
    for name, chance in (("cosine", 0), ("spearman", 0), ("overlap", found.chance[0])):
        np.testing.assert_allclose(np.nanmean(getattr(found, name), 0), chance, atol=0.05)


def test_random_scores_depend_on_the_seed_alone():
    like = torch.zeros(2, 3, dtype=torch.bfloat16)
    one, again, other = (random_scores(like, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, again) and not torch.equal(one, other) and one.dtype == like.dtype


@pytest.mark.parametrize("share", [7, 14, 28, 55, 56, 100])
def test_the_top_of_a_hundred_tokens_is_as_many_as_it_says(share):
    scores = torch.arange(1.0, 101)[None]
    found = agreement(scores, scores, torch.ones(1, 100, dtype=torch.bool), share / 100)
    np.testing.assert_allclose(found.chance, share / 100)


@pytest.mark.parametrize("top", [0.0, 1.5])
def test_top_is_a_share(top):
    one, other, mask = _maps()
    with pytest.raises(ValueError, match=rf"top={top} is not a share of the tokens; give more than 0 and at most 1"):
        agreement(one, other, mask, top)
