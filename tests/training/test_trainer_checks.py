"""Models and objectives that the trainer refuses before the first step."""

import copy
import inspect
import math
import re
from pathlib import Path

import pytest
from torch import Tensor
from transformers import TrainingArguments

from causalkd.data.pairs.collator import PairingCollator
from causalkd.models.hooks.hook_points import HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.atkd import ATKD
from causalkd.objectives.base import Requirements, StepContext, TrainingSetup, Weighted
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from causalkd.training.trainer import DistillationTrainer
from causalkd.training.trainer_checks import check_compiled, check_given, check_objectives, check_saving
from tests.tiny import tiny
from tests.training.small import models

_check_given = inspect.unwrap(check_given)  # as a user's program calls it, without the checks of types in the tests


def test_a_student_does_not_learn_its_own_writing_as_labels(tmp_path: Path) -> None:
    teacher, student = models()
    terms = {"task": Weighted(1.0, TaskLoss()), "response_kd": Weighted(1.0, ResponseKD())}
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")
    with pytest.raises(ValueError, match="`task` learns to predict the labels, and these would be what the student"):
        DistillationTrainer(student, terms, teacher, lambda batch, step, n: batch, args=args)
    del terms["task"]
    DistillationTrainer(student, terms, teacher, lambda batch, step, n: batch, args=args)


class _Twice:
    """An objective of no method here: it is differentiated twice and wants whole batches."""

    def requirements(self) -> Requirements:
        return Requirements(
            second_order=True, refusal=lambda setup: "twice wants one" if setup.micro_batches > 1 else None
        )

    def __call__(self, run: StepContext) -> Tensor:
        return run.student_run.logits.sum()


def test_any_objective_says_itself_where_it_cannot_be_trained() -> None:
    terms = {"twice": Weighted(1.0, _Twice()), "kd": Weighted(1.0, ResponseKD())}
    check_objectives(terms, TrainingSetup(), "causal_lm", sharded=False)
    with pytest.raises(ValueError) as refused:
        check_objectives(terms, TrainingSetup(micro_batches=2), "causal_lm", sharded=True)
    lines = str(refused.value).splitlines()
    assert lines[0] == "twice wants one" and lines[1].startswith("twice differentiates the student twice, and FSDP")
    assert len(lines) == 2


def test_atkd_counts_ahead_what_a_shortened_cache_would_change() -> None:
    shortened, plain = TrainingSetup(4, 8), {"atkd": Weighted(1.0, ATKD())}
    check_objectives(plain, shortened, "causal_lm", sharded=False)
    ahead = {"atkd": Weighted(1.0, ATKD(split="sequence"))}
    for harmless in (shortened._replace(micro_batches=1), shortened._replace(cache_top_k=None)):
        check_objectives(ahead, harmless, "causal_lm", sharded=False)
    with pytest.raises(ValueError, match="atkd counts the easy and hard tokens of all micro-batches"):
        check_objectives(ahead, shortened, "causal_lm", sharded=False)


def test_two_tokenizers_refuse_what_compares_tokens() -> None:
    terms = {"kd": Weighted(1.0, ResponseKD()), "task": Weighted(1.0, TaskLoss()), "tokens": Weighted(1.0, _ByToken())}
    two = TrainingSetup(two_tokenizers=True)
    check_objectives(terms, TrainingSetup(), "token_classification", sharded=False)
    with pytest.raises(ValueError) as refused:
        check_objectives(terms, two, "token_classification", sharded=False)
    by_token, at_all = str(refused.value).splitlines()
    assert by_token.startswith("tokens compares the models token by token") and "leave it out" in by_token
    assert at_all.startswith("kd compares predictions at all tokens") and "'labelled'" in at_all
    check_objectives({name: terms[name] for name in ("kd", "task")}, two, "classification", sharded=False)


class _ByToken(_Twice):
    def requirements(self) -> Requirements:
        return Requirements(logits="none")


def test_a_student_that_cannot_be_saved_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    student = HookedModel(tiny("gpt2", "causal_lm"), task="causal_lm", role="student")
    check_saving(student)
    student.model.generation_config.temperature = 0.5  # without sampling, which transformers refuses to write
    with pytest.raises(ValueError, match="could be trained but not saved: GenerationConfig is invalid"):
        DistillationTrainer(
            student,
            {"task": Weighted(1.0, TaskLoss())},
            args=TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none"),
        )


def test_a_configuration_that_transformers_does_not_write_is_refused() -> None:
    student = HookedModel(tiny("bert", "classification"), task="classification", role="student")
    student.model.config._output_attentions = True  # as of a file that was read
    with pytest.raises(ValueError, match=r"could be trained but not saved: (.|\n)*output_attentions(.|\n)*'eager'"):
        check_saving(student)


def test_what_compiled_blocks_would_leave_out_is_refused_all_at_once(tmp_path: Path) -> None:
    teacher, student = models()
    inside = student.hook_point("mlp_output", 0)
    terms = {"twice": Weighted(1.0, _Twice()), "hidden": Weighted(1.0, _Inside((inside,)))}
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none", activation_checkpointing=True)
    with pytest.raises(ValueError) as caught:
        check_compiled(terms, args, sharded=True, on_policy=True)
    lines = str(caught.value).splitlines()
    assert len(lines) == 6 and lines[0] == "compile_blocks cannot be used here; leave it out:"
    assert lines[1] == "twice differentiates the student twice, and torch compiles no second derivative"
    assert lines[2] == f"hidden hooks into {inside.name}, inside a block, which compiled code would leave out"
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")
    with pytest.raises(ValueError, match="twice differentiates the student twice"):
        DistillationTrainer(student, terms, teacher, args=args, compile_blocks=True)


class _Inside:
    """An objective that looks at hook points of the student."""

    def __init__(self, points: tuple[HookPoint, ...]) -> None:
        self._points = points

    def requirements(self) -> Requirements:
        return Requirements(student=self._points)

    def __call__(self, run: StepContext) -> Tensor:
        return run.student_run.logits.sum()


def test_what_is_no_weighted_objective_is_refused() -> None:
    teacher, student = models()
    for given, message in (
        ({}, "there is nothing to train on: name at least one objective"),
        ({"task": TaskLoss()}, r"the objective task is <.*give Weighted\(weight, objective\)"),
        ({"task": (1.0, TaskLoss())}, r"the objective task is \(1.0, .*give Weighted\(weight, objective\)"),
        ({"mine": Weighted(1.0, len)}, "whose objective has the method `requirements`"),
        ({"task": Weighted(math.nan, TaskLoss())}, "the weight of task is nan; give a finite number"),
        ({"task": Weighted("1", TaskLoss())}, "the weight of task is '1'; give a finite number"),
    ):
        with pytest.raises(ValueError, match=message):
            _check_given(student, given, teacher)
    _check_given(student, {"task": Weighted(1, TaskLoss())}, None)


def test_each_model_has_its_role() -> None:
    teacher, student = models()
    terms = {"task": Weighted(1.0, TaskLoss())}
    for given, message in (
        ((student.model, teacher), r"the student is a DistilBert.*; give HookedModel\(model, task=…, role='student'\)"),
        ((student, teacher.model), r"the teacher is a BertFor.*; give HookedModel\(model, task=…, role='teacher'\)"),
        ((teacher, None), "the model to train was loaded as a teacher, which is frozen"),
        ((student, student), "the teacher was loaded as a student, which is not frozen"),
    ):
        with pytest.raises(ValueError, match=message):
            _check_given(given[0], terms, given[1])


def test_a_teacher_is_not_trained_with_its_student() -> None:
    terms = {"task": Weighted(1.0, TaskLoss())}
    model = tiny("bert", "classification")
    student = HookedModel(model, task="classification", role="student")
    teacher = HookedModel(model, task="classification", role="teacher")
    with pytest.raises(ValueError, match="every weight of the student is frozen") as told:
        check_given(student, terms, teacher)
    (advised,) = re.findall(r"of (copy\S+),", str(told.value))
    copied = HookedModel(eval(advised, {"copy": copy, "stock": model}), task="classification", role="student")
    check_given(copied, terms, teacher)
    copied.model.bert.embeddings = model.bert.embeddings
    check_given(copied, terms, teacher)  # what they share is frozen
    model.bert.embeddings.requires_grad_(True)
    with pytest.raises(ValueError, match=r"share bert.embeddings.word_embeddings.weight, .* and 2 more, so training"):
        check_given(copied, terms, teacher)


def test_encoders_are_not_padded_on_the_left() -> None:
    _, student = models()
    collator = PairingCollator([{"input_ids": [5, 6], "label": 0}], {}, 0, side="left")
    with pytest.raises(ValueError, match=r"pads on the left, which changes what HookedModel.* reads; give side="):
        check_given(student, {"task": Weighted(1.0, TaskLoss())}, None, collator)
