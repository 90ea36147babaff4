"""ATKD's terms against probabilities, the identity with forward KL, the split, and every edge finite."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from causalkd.losses.decoupled import atkd, decoupled, dkd, hard_tokens
from causalkd.losses.divergence import forward_kl
from causalkd.losses.gold_odds import log_odds, uncertainty
from causalkd.losses.reduction import mean_where
from tests.oracles import decoupled as oracle

GOLD = torch.tensor([[0, 6, 3, 3], [2, 5, 1, 0], [4, 4, 6, 2]])
TERMS = {
    "target": partial(dkd, alpha=1.0, beta=0.0),
    "diversity": partial(dkd, alpha=0.0, beta=1.0),
    "dkd": partial(dkd, alpha=0.7, beta=3.0),
    "target_reverse": lambda s, t, g, mask=None, T=1.0: mean_where(decoupled(s, t, g, 1.0, 0.0, mask, T, True), mask),
    "diversity_reverse": lambda s, t, g, mask=None, T=1.0: mean_where(
        decoupled(s, t, g, 0.0, 1.0, mask, T, True), mask
    ),
    "atkd": lambda s, t, g, mask=None, T=1.0: atkd(s, t, g, _hard(t, g, mask), mask, T),
    "atkd_reverse": lambda s, t, g, mask=None, T=1.0: atkd(s, t, g, _hard(t, g, mask), mask, T, 0.3, True),
}
each_term = pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)


def _hard(teacher: Tensor, gold: Tensor, mask: Tensor | None) -> Tensor:
    return hard_tokens(uncertainty(teacher, gold, mask), mask)


def _logits(*shape: int, seed: int = 0, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_forward_kl_is_the_target_term_and_the_uncertain_share_of_the_diversity_term(
    scale: float, temperature: float
) -> None:
    for seed in range(5):
        student, teacher = (_logits(3, 4, 7, seed=seed + offset, scale=scale) for offset in (0, 100))
        student.requires_grad_()
        unc = uncertainty(teacher, GOLD, temperature=temperature)
        whole = forward_kl(student, teacher, temperature=temperature)
        parts = decoupled(student, teacher, GOLD, 1.0, unc, temperature=temperature).mean()
        torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)
        gradients = [torch.autograd.grad(loss, student)[0] for loss in (parts, whole)]
        torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


def test_the_terms_are_the_oracles() -> None:
    student, teacher, gold = _logits(12, 7).requires_grad_(), _logits(12, 7, seed=1), GOLD.flatten()
    expected, intervened = oracle.terms(student, teacher, gold), oracle.terms(teacher, student, gold)
    close = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)
    close(uncertainty(teacher, gold), expected.uncertainty)
    close(decoupled(student, teacher, gold, 1.0, 0.0), expected.target)
    close(decoupled(student, teacher, gold, 0.0, 1.0), expected.diversity)
    close(decoupled(student, teacher, gold, 1.0, 0.0, reverse=True), intervened.target)
    close(decoupled(student, teacher, gold, 0.0, 1.0, reverse=True), intervened.diversity)
    close(dkd(student, teacher, gold, alpha=0.7, beta=3.0), (0.7 * expected.target + 3 * expected.diversity).mean())


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("easy_weight", [0.2, 0.5])
def test_atkd_is_the_oracles(reverse: bool, easy_weight: float) -> None:
    student, teacher, gold = _logits(12, 7).requires_grad_(), _logits(12, 7, seed=1), GOLD.flatten()
    hard = _hard(teacher, gold, None)
    losses = (
        atkd(student, teacher, gold, hard, easy_weight=easy_weight, reverse=reverse),
        oracle.atkd(student, teacher, gold, easy_weight, reverse),
    )
    torch.testing.assert_close(*losses, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(loss, student)[0] for loss in losses]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


def test_atkd_of_parts_of_a_batch_adds_up() -> None:
    student, teacher, gold = _logits(12, 7), _logits(12, 7, seed=1), GOLD.flatten()
    hard = torch.arange(12) % 5 > 2
    sizes = (~hard).sum().double(), hard.sum().double()
    parts = [atkd(student[i], teacher[i], gold[i], hard[i], sizes=sizes) for i in (slice(0, 3), slice(3, 12))]
    torch.testing.assert_close(sum(parts), atkd(student, teacher, gold, hard), rtol=1e-13, atol=0)


@each_term
def test_gradcheck(term) -> None:
    student, teacher = _logits(1, 4, 5).requires_grad_(), _logits(1, 4, 5, seed=1)
    gold, mask = torch.tensor([[0, 4, -100, 2]]), torch.tensor([[True, True, False, True]])
    assert torch.autograd.gradcheck(lambda logits: term(logits, teacher, gold, mask, 2.0), student)


def test_the_log_odds_have_a_gradient_too() -> None:
    logits = _logits(2, 5).requires_grad_()
    gold = torch.tensor([3, 0])
    p = logits.softmax(-1)[torch.arange(2), gold]
    torch.testing.assert_close(log_odds(logits, gold), (p / (1 - p)).log(), rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(lambda values: log_odds(values, gold), logits)


@each_term
def test_zero_at_agreement(term) -> None:
    for dtype in (torch.float64, torch.float32, torch.float16):
        logits = _logits(3, 4, 7).to(dtype).requires_grad_()
        loss = term(logits, logits.detach(), GOLD)
        loss.backward()
        assert loss.item() == 0.0
        assert logits.grad is not None and logits.grad.abs().max() < 10 * torch.finfo(dtype).eps


@each_term
def test_what_is_masked_is_not_there(term) -> None:
    student, teacher = _logits(3, 4, 7), _logits(3, 4, 7, seed=1)
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
    dirty = student.masked_fill(~mask[..., None], math.nan).requires_grad_()
    loss = term(dirty, teacher.masked_fill(~mask[..., None], math.inf), GOLD.masked_fill(~mask, -100), mask)
    torch.testing.assert_close(loss, term(student[mask], teacher[mask], GOLD[mask]), rtol=1e-14, atol=0)
    loss.backward()
    assert dirty.grad is not None
    assert dirty.grad[~mask].abs().sum() == 0 and dirty.grad[mask].isfinite().all()


@each_term
@pytest.mark.parametrize("counted", [0, 1])
def test_nothing_or_one_token_counts(term, counted: int) -> None:
    student, teacher = _logits(3, 4, 7).requires_grad_(), _logits(3, 4, 7, seed=1)
    loss = term(student, teacher, GOLD, (torch.arange(12) < counted).view(3, 4))
    loss.backward()
    assert loss.isfinite() and (loss.item() > 0) == bool(counted)
    assert student.grad is not None and (student.grad != 0).any(-1).sum() == counted


@each_term
def test_every_token_is_as_uncertain(term) -> None:
    student, teacher = _logits(3, 4, 7).float().requires_grad_(), _logits(1, 1, 7).float().expand(3, 4, 7)
    gold = torch.full((3, 4), 2)
    assert _hard(teacher, gold, None).all()
    loss = term(student, teacher, gold)
    loss.backward()
    assert loss.isfinite() and loss > 0 and student.grad is not None and student.grad.isfinite().all()


@each_term
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_sharp_logits_stay_finite(term, dtype: torch.dtype) -> None:
    student, teacher = (_logits(3, 4, 7, seed=seed, scale=240).to(dtype) for seed in (0, 1))
    exact = term(student.double(), teacher.double(), GOLD)
    student.requires_grad_()
    loss = term(student, teacher, GOLD)
    loss.backward()
    assert loss.item() == pytest.approx(exact.item(), rel=1e-5)
    assert student.grad is not None and student.grad.isfinite().all()


@each_term
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("infinite", [False, True])
def test_what_is_ruled_out_stays_finite(term, infinite: bool, dtype: torch.dtype) -> None:
    lowest = -math.inf if infinite else torch.finfo(dtype).min
    one_left = torch.full((1, 3, 5), lowest, dtype=dtype).scatter(2, torch.tensor([[[0], [1], [4]]]), 0.0)
    some_left = _logits(1, 3, 5).to(dtype).masked_fill(torch.tensor([True, False, True, False, False]), lowest)
    gold = torch.tensor([[0, 0, 2]])
    for student, teacher in ((one_left, some_left), (some_left, one_left), (one_left, one_left.roll(1, 1))):
        student = student.clone().requires_grad_()
        loss = term(student, teacher, gold)
        loss.backward()
        assert loss.isfinite() and student.grad is not None and student.grad.isfinite().all()
    assert term(one_left, one_left, gold).item() == 0.0


def test_a_confident_teacher_keeps_its_uncertainty() -> None:
    logits = torch.tensor([[60.0, 0.0, 0.0]])
    assert uncertainty(logits, torch.tensor([0])).item() == pytest.approx(2 * math.exp(-60), rel=1e-5)
    assert 1 - logits.softmax(-1)[0, 0].item() == 0


def test_the_lower_median_is_hard() -> None:
    unc, counts = torch.tensor([[0.1, 0.9, 0.5, 0.3], [0.2, 0.4, 0.7, 0.8]]), torch.ones(2, 4, dtype=torch.bool)
    counts[1, 3] = False
    assert hard_tokens(unc, counts).tolist() == [[False, True, True, False], [False, True, True, False]]
    assert torch.equal(hard_tokens(unc, counts), counts & (unc >= torch.median(unc[counts])))
    assert hard_tokens(unc, counts, over="sequence").tolist() == [[False, True, True, True], [False, True, True, False]]


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.3, 0.7, 0.9, 1.0])
def test_any_share_is_hard(fraction: float) -> None:
    unc = torch.rand(11, generator=torch.Generator().manual_seed(0))
    assert (~hard_tokens(unc, fraction=fraction)).sum() == math.floor(round(10 * (1 - fraction), 9))
    with pytest.raises(ValueError, match=r"the hard fraction is 0.0; .* must lie in \(0, 1\]"):
        hard_tokens(unc, fraction=0.0)


def test_ties_with_the_median_are_hard() -> None:
    assert hard_tokens(torch.tensor([0.5, 0.5, 0.1, 0.5])).tolist() == [True, True, False, True]
    assert hard_tokens(torch.full((3,), 0.5)).all()
    assert not hard_tokens(torch.rand(2, 3), torch.zeros(2, 3, dtype=torch.bool), over="sequence").any()


@each_term
def test_a_batch_of_no_token(term) -> None:
    student, gold = torch.zeros(0, 7, requires_grad=True), torch.zeros(0, dtype=torch.long)
    nothing = torch.zeros(0, dtype=torch.bool)
    loss = term(student, torch.zeros(0, 7), gold, nothing)
    loss.backward()
    assert loss.item() == 0.0


@each_term
def test_mixed_precision_changes_nothing(term) -> None:
    student, teacher = _logits(3, 4, 7).float(), _logits(3, 4, 7, seed=1).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = term(student, teacher, GOLD)
    assert torch.equal(mixed, term(student, teacher, GOLD))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(3))
def test_a_teacher_that_rules_out_all_but_the_gold_token_finds_the_others_equally_likely(
    dtype: torch.dtype, seed: int
) -> None:
    teacher = torch.full((3, 4, 7), -torch.inf, dtype=dtype).scatter_(-1, GOLD.unsqueeze(-1), 0.0)
    student = _logits(3, 4, 7, seed=seed).to(dtype).requires_grad_()
    loss = TERMS["diversity"](student, teacher, GOLD)
    evenly = TERMS["diversity"](student.detach().double(), torch.zeros(3, 4, 7, dtype=torch.float64), GOLD)
    precise = torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(loss, evenly.to(precise), rtol=64 * torch.finfo(precise).eps, atol=0)
    loss.backward()
    assert student.grad is not None and student.grad.isfinite().all()
    assert uncertainty(teacher, GOLD).abs().max() == 0
    for term in TERMS.values():
        assert 0 <= term(student.detach(), teacher, GOLD) < torch.inf


def test_the_quantile_may_be_of_a_larger_batch_that_the_tokens_are_part_of() -> None:
    values = _logits(4, 5, seed=7)
    mask = torch.rand(4, 5, generator=torch.Generator().manual_seed(1)) > 0.3
    whole = hard_tokens(values, mask)
    among = values.masked_fill(~mask, torch.inf).flatten()
    parts = [hard_tokens(values[rows], mask[rows], among=among) for rows in (slice(0, 1), slice(1, 4))]
    assert torch.equal(torch.cat(parts), whole)
