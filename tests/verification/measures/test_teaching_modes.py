"""Teaching modes of tokens against loops over the stock outputs; interchange accuracy split by them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from causalkd.data.batch import Batch
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.measures.iia import measure
from causalkd.verification.measures.teaching_modes import _accuracy, accuracy_by_mode, teaching_modes
from tests.objectives.steps import aligned, batch_of, models
from tests.oracles import decoupled as oracle


def _halves(batch: Batch) -> list[Batch]:
    parts = []
    for rows in (slice(0, 2), slice(2, 4)):
        source = {name: each[rows] for name, each in (batch.source or {}).items()}
        inputs = {name: each[rows] for name, each in batch.inputs.items()}
        positions = {name: drawn.rows(torch.arange(4)[rows]) for name, drawn in batch.positions.items()}
        assert batch.labels is not None
        parts.append(Batch(inputs, batch.labels[rows], source, positions=positions))
    return parts


@pytest.fixture(scope="module")
def pair() -> tuple[HookedModel, HookedModel]:
    return models("causal_lm", "gpt2", "opt", dropout=0.5)


def test_each_labelled_token_is_the_loops(pair: tuple[HookedModel, HookedModel]) -> None:
    (teacher, student), batch = pair, batch_of("causal_lm")
    assert batch.labels is not None
    student.model.train()
    found = teaching_modes(teacher, student, _halves(batch))
    assert student.model.training  # and dropout was off in between
    with torch.no_grad():
        student.model.eval()
        s, t = (model.model(**batch.inputs).logits[:, :-1] for model in (student, teacher))
    labelled = batch.labels[:, 1:] >= 0
    expected = oracle.terms(s[labelled], t[labelled], batch.labels[:, 1:][labelled])
    np.testing.assert_allclose(found.uncertainty, expected.uncertainty, rtol=1e-10)
    np.testing.assert_allclose(found.target, expected.target, rtol=1e-8)
    np.testing.assert_allclose(found.diversity, expected.diversity, rtol=1e-8)
    row, position = labelled.nonzero(as_tuple=True)
    assert found.text.tolist() == row.tolist() and found.position.tolist() == (position + 1).tolist()
    assert found.hard.tolist() == (expected.uncertainty >= expected.uncertainty.median()).tolist()
    kl = oracle.terms(s[labelled], t[labelled], batch.labels[:, 1:][labelled])
    whole = (kl.target + kl.uncertainty * kl.diversity).sum()
    assert found.target_share == pytest.approx((kl.target.sum() / whole).item())


def test_the_modes_together_are_the_whole_accuracy(pair: tuple[HookedModel, HookedModel]) -> None:
    (teacher, student), batches = pair, _halves(batch_of("causal_lm"))
    alignment = aligned(teacher, student)
    easy, hard = accuracy_by_mode(teacher, student, alignment, batches)
    assert (easy.mode, hard.mode, easy.pair) == ("easy", "hard", "first")
    tokens = easy.tokens + hard.tokens
    assert tokens == sum(int((batch.labels[:, 1:] >= 0).sum()) for batch in batches if batch.labels is not None)
    (score,) = (
        score
        for score in measure(teacher, student, alignment, batches, baselines=()).scores
        if score.comparison.pair == "first" and score.baseline == "measured"
    )
    together = (easy.iia * easy.tokens + hard.iia * hard.tokens) / tokens
    assert together == pytest.approx(score.matches.sum() / score.counts.sum())
    assert easy.effective + hard.effective == score.effective_counts.sum() > 0


def test_a_share_of_tokens_is_exact() -> None:
    match, effective = torch.tensor([True, False, False]), torch.tensor([True, True, True])
    found = _accuracy("first", "easy", match, effective)
    assert (found.iia, found.iia_effective) == (1 / 3, 1 / 3)


def test_a_model_agrees_with_itself_in_both_modes(pair: tuple[HookedModel, HookedModel]) -> None:
    teacher, _ = pair
    copied = HookedModel(teacher.model, task="causal_lm", role="teacher")
    same = aligned(teacher, copied, first=("first", 1, 1))
    scores = accuracy_by_mode(teacher, copied, same, _halves(batch_of("causal_lm")))
    assert [score.iia for score in scores] == [1.0, 1.0]
    found = teaching_modes(teacher, copied, [batch_of("causal_lm")])
    assert np.isnan(found.target_share) and not found.suppressed.any()


def test_what_has_no_teaching_modes() -> None:
    teacher, student = models("classification", "bert", "distilbert")
    with pytest.raises(ValueError, match="teaching modes are for tokens, and the head is for classification"):
        teaching_modes(teacher, student, [batch_of("classification")])
    teacher, student = models()
    with pytest.raises(ValueError, match="teaching modes need gold tokens; of 1 batches"):
        teaching_modes(teacher, student, [replace(batch_of(), labels=None)])
