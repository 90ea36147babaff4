"""The terms of a step are those of logits, whether the head is split or not; those of predictions share one pass."""

import pytest
import torch

from causalkd.losses import fused
from causalkd.models.hooks import split_head
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.atkd import ATKD, DKD
from causalkd.objectives.base import Requirements, Weighted, hook_points_of
from causalkd.objectives.base import StepContext as Context
from causalkd.objectives.diito import DIITO
from causalkd.objectives.hidden_kd import HiddenKD
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from causalkd.objectives.terms import Terms, terms_of
from causalkd.task_types import LANGUAGE_MODELS, Task
from tests.objectives.steps import aligned, batch_of, models

PAIRS: tuple[tuple[Task, str, str], ...] = (
    ("masked_lm", "bert", "distilbert"),
    ("masked_lm", "roberta", "bert"),
    ("causal_lm", "gpt2", "opt"),
    ("causal_lm", "llama", "gpt_neox"),
    ("causal_lm", "qwen2", "gpt2"),
    ("classification", "bert", "distilbert"),
)


def _objectives(task: Task, teacher: HookedModel, student: HookedModel) -> dict[str, Weighted]:
    alignment = aligned(teacher, student)
    found = {
        "response_kd": Weighted(0.5, ResponseKD()),
        "reverse": Weighted(0.3, ResponseKD(divergence="reverse_kl", temperature=1.0, tokens="labelled")),
        "task": Weighted(0.25, TaskLoss()),
        "hidden_kd": Weighted(0.2, HiddenKD(teacher, student)),
        "diito": Weighted(0.7, DIITO(alignment, teacher, student)),
        "dkd": Weighted(0.0, DKD(temperature=2.0)),
    }
    return found | ({"atkd": Weighted(0.4, ATKD(temperature=1.5))} if task == "causal_lm" else {})


def _step(task: Task, architectures: tuple[str, str], is_split: bool) -> tuple[Terms, dict[str, torch.Tensor]]:
    teacher, student = models(task, *architectures)
    objectives, batch = _objectives(task, teacher, student), batch_of(task)
    kept = hook_points_of(objectives)
    at = kept.logits_at(task, batch)
    runs = (
        student.run(batch.inputs, kept.student, logits_at=at),
        teacher,
        teacher.run(batch.inputs, kept.teacher, logits_at=at),
    )
    of_student, _, of_teacher = runs
    for run in (of_student, of_teacher):
        assert isinstance(run.predicted, split_head.UnprojectedLogits) == is_split
    terms = terms_of(objectives, Context(student, batch, *runs, logits=kept.logits))
    terms.loss.backward()
    return terms, {name: each.grad for name, each in student.model.named_parameters() if each.grad is not None}


@pytest.mark.parametrize(("task", "teacher", "student"), PAIRS)
def test_they_are_those_of_logits(task: Task, teacher: str, student: str, monkeypatch: pytest.MonkeyPatch) -> None:
    split, gradients = _step(task, (teacher, student), is_split=task in LANGUAGE_MODELS)
    monkeypatch.setattr(split_head, "_not_now", lambda *_: "a test wants it so")
    plain, expected = _step(task, (teacher, student), is_split=False)
    torch.testing.assert_close(split.loss, plain.loss, rtol=1e-10, atol=1e-10)
    assert list(split.by_name) == list(plain.by_name)
    for name, term in plain.by_name.items():
        torch.testing.assert_close(split.by_name[name].double(), term.double(), rtol=1e-10, atol=1e-10, msg=name)
    assert gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-9, atol=1e-10, msg=name)


def test_the_terms_of_base_predictions_share_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    plain = fused.run_pass

    def counted(*given):  # type: ignore[no-untyped-def]
        passes.append(len(given[3].terms))
        return plain(*given)

    monkeypatch.setattr(fused, "run_pass", counted)
    _step("masked_lm", ("bert", "distilbert"), is_split=True)
    # DIITO's counterfactuals, DKD of weight 0, and the three losses of base's predictions.
    assert sorted(passes) == [1, 1, 3]


class _Rows:
    """An objective that forgets to take the mean."""

    def requirements(self) -> Requirements:
        return Requirements()

    def __call__(self, run: Context) -> torch.Tensor:
        return run.student_run.logits.sum(-1)


class _Float(_Rows):
    def __call__(self, run: Context) -> float:
        return 1.0


@pytest.mark.parametrize(("objective", "found"), [(_Rows(), r"a tensor of shape \(4,\)"), (_Float(), "a float")])
def test_a_term_is_one_number(objective: _Rows, found: str) -> None:
    _, student = models("classification")
    batch = batch_of("classification")
    run = Context(student, batch, student.run(batch.inputs))
    with pytest.raises(ValueError, match=rf"the objective mine gave {found}; a term is one number"):
        terms_of({"mine": Weighted(1.0, objective)}, run)
