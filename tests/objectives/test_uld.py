"""ULD against stock forward passes and sums written out here, with one tokenizer and with two."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from causalkd.data.batch import Batch, pad
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.base import TrainingSetup, Weighted
from causalkd.objectives.diito import DIITO
from causalkd.objectives.response_kd import ResponseKD
from causalkd.objectives.uld import ULD
from tests.data.tiny_tokenizers import gpt2_like, llama_like
from tests.objectives.steps import aligned, assert_same_term, batch_of, models, step_of
from tests.tiny import tiny
from tests.training.small import logged, trainer

TEXTS = ["the quick brown fox jumps over the lazy dog", "a cat sat on the mat", "every mammal strolls some"]


def _two_tokenizers() -> tuple[HookedModel, HookedModel]:
    made = []
    for architecture, tokenizer, role in (("llama", llama_like(), "teacher"), ("gpt2", gpt2_like(), "student")):
        stock = tiny(architecture, "causal_lm", dtype=torch.float64)
        stock.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        torch.manual_seed(0)
        with torch.no_grad():
            stock.get_input_embeddings().weight.normal_()
        made.append(HookedModel(stock, tokenizer, task="causal_lm", role=role))
    return made[0], made[1]


def _batch(student: HookedModel) -> Batch:
    return Batch(pad([{"input_ids": student.tokenizer(text)["input_ids"]} for text in TEXTS], 0))


def _sum(ours: Tensor, theirs: Tensor) -> Tensor:
    """Σ |p − q| of two predictions in descending order."""
    p, q = (logits.softmax(-1).sort(descending=True).values for logits in (ours, theirs))
    longest = max(len(p), len(q))
    return sum(
        (abs((p[k] if k < len(p) else 0) - (q[k] if k < len(q) else 0)) for k in range(longest)), torch.zeros(())
    )


def _expected(teacher: HookedModel, student: HookedModel) -> Tensor:
    """Each text alone, without padding, compared wherever both have decoded the same characters."""
    found = []
    for text in TEXTS:
        runs = []
        for model in (student, teacher):
            ids = model.tokenizer(text)["input_ids"]
            logits = model.model(input_ids=torch.tensor([ids])).logits[0]
            ends = [len(model.tokenizer.decode(ids[: n + 1], skip_special_tokens=True)) for n in range(len(ids))]
            runs.append((ends, logits))
        (ours, student_logits), (theirs, teacher_logits) = runs
        for end in set(ours) & set(theirs):
            one, two = (max(n for n, each in enumerate(ends) if each == end) for ends in (ours, theirs))
            found.append(_sum(student_logits[one], teacher_logits[two].detach()))
    return torch.stack(found).mean()


def test_with_two_tokenizers_it_is_the_mean_over_the_places_that_both_have() -> None:
    teacher, student = _two_tokenizers()
    batch = _batch(student)
    run = step_of(ULD(teacher, student), None, student, batch)
    mine = ULD(teacher, student)(type(run)(student, batch, run.student_run, teacher))
    assert_same_term(student, mine, _expected(teacher, student))


def test_with_one_tokenizer_it_is_the_mean_over_real_tokens() -> None:
    teacher, student = models("causal_lm", "gpt2", "llama")
    batch = batch_of("causal_lm")
    mine = ULD(teacher, student)(step_of(ULD(teacher, student), teacher, student, batch))
    ours, theirs = (model.model(**batch.inputs).logits[batch.counted] for model in (student, teacher))
    expected = torch.stack([_sum(one, two.detach()) for one, two in zip(ours, theirs, strict=True)]).mean()
    assert_same_term(student, mine, expected)


def test_a_trainer_takes_two_tokenizers_for_it_and_for_nothing_else(tmp_path: Path) -> None:
    teacher, student = _two_tokenizers()
    rows: list[dict[str, Any]] = [{"input_ids": student.tokenizer(text)["input_ids"]} for text in TEXTS * 8]
    done = trainer(tmp_path, (teacher, student), {"uld": Weighted(1.0, ULD(teacher, student))}, rows=rows)
    done.train()
    losses = logged(done)
    assert len(losses) == 6 and losses[-1] < losses[0]
    for name, other in (("response_kd", ResponseKD()), ("diito", DIITO(aligned(teacher, student), teacher, student))):
        with pytest.raises(ValueError, match=r"Predictions over tokens need tokens that both models share"):
            trainer(tmp_path, (teacher, student), {name: Weighted(1.0, other)}, rows=rows)


def test_micro_batches_are_refused_where_their_shares_are_not_known() -> None:
    teacher, student = _two_tokenizers()
    refusal = ULD(teacher, student).requirements().refusal
    assert refusal(TrainingSetup(micro_batches=1)) is None
    assert "do without gradient accumulation" in (refusal(TrainingSetup(micro_batches=2)) or "")
    same = models("causal_lm", "gpt2", "llama")
    assert ULD(*same).requirements().refusal(TrainingSetup(micro_batches=2)) is None


def test_other_heads_and_lacking_tokenizers_are_refused() -> None:
    with pytest.raises(ValueError, match="is a classification model, whose predictions are over the same choices"):
        ULD(*models("classification"))
    teacher, student = _two_tokenizers()
    student.tokenizer = None
    with pytest.raises(ValueError, match="uld needs the tokenizers of both models"):
        ULD(teacher, student)
