"""Response KD and the task loss against the stock models' own outputs."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from causalkd.data.batch import Batch
from causalkd.losses.divergence_table import DivergenceName
from causalkd.objectives.atkd import ATKD, DKD
from causalkd.objectives.base import Objective, Requirements, StepContext
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from causalkd.task_types import Task
from tests.objectives.steps import assert_same_term, batch_of, labels_of, models, step_of
from tests.oracles import divergence as oracle
from tests.tiny import tiny_inputs

TASKS: list[tuple[Task, str, str]] = [
    ("masked_lm", "bert", "distilbert"),
    ("causal_lm", "gpt2", "opt"),
    ("classification", "llama", "bert"),
]


@pytest.mark.parametrize(("task", "of_teacher", "of_student"), TASKS)
def test_the_stock_outputs_at_a_temperature(task: Task, of_teacher: str, of_student: str) -> None:
    (teacher, student), batch = models(task, of_teacher, of_student), batch_of(task)
    s, t = (model.model(**batch.inputs).logits for model in (student, teacher))
    if task != "classification":
        s, t = s[batch.counted], t[batch.counted]
    p, q = (each.div(3).softmax(-1) for each in (t, s))
    expected = 9 * (p * (p / q).log()).sum(-1).mean()
    objective = ResponseKD(temperature=3.0)
    assert objective.requirements() == Requirements(logits="all", two_tokenizers=True)
    assert_same_term(student, objective(step_of(objective, teacher, student, batch)), expected)


def test_labelled_tokens_only() -> None:
    (teacher, student), batch = models(), batch_of()
    assert batch.labels is not None
    labelled = batch.labels >= 0
    s, t = (model.model(**batch.inputs).logits[labelled].log_softmax(-1) for model in (student, teacher))
    objective = ResponseKD(1.0, "labelled")
    expected = (t.exp() * (t - s)).sum(-1).mean()
    assert_same_term(student, objective(step_of(objective, teacher, student, batch)), expected)


def test_an_identical_student_has_nothing_to_learn() -> None:
    teacher, _ = models()
    untrained_student, _ = models()
    student = type(untrained_student)(untrained_student.model.requires_grad_(True), task="masked_lm", role="student")
    loss = ResponseKD()(step_of(ResponseKD(), teacher, student, batch_of()))
    assert loss.item() == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize(("task", "of_teacher", "of_student"), TASKS)
def test_the_task_loss_is_the_stock_models(task: Task, of_teacher: str, of_student: str) -> None:
    _, student = models(task, of_teacher, of_student)
    batch = batch_of(task)
    expected = student.model(**batch.inputs, labels=labels_of(task, dict(batch.inputs))).loss
    mine = TaskLoss()(step_of(TaskLoss(), None, student, batch))
    # A stock causal LM computes its loss in float32 whatever its own type.
    within = {"rtol": 1e-5, "atol": 1e-5} if expected.dtype == torch.float32 else {}
    torch.testing.assert_close(mine, expected.double(), **within)


def test_the_ends_of_an_answer_are_not_looked_for_in_padding() -> None:
    """A batch's loss is the mean of what the stock model has of each row without its padding."""
    _, student = models("question_answering", "bert", "distilbert")
    batch = batch_of("question_answering")
    assert batch.labels is not None and not batch.counted.all()
    alone = []
    for ids, real, (start, end) in zip(batch.inputs["input_ids"], batch.counted, batch.labels, strict=True):
        row = ids[real][None]
        alone.append(student.model(row, start_positions=start[None], end_positions=end[None]).loss)
    mine = TaskLoss()(step_of(TaskLoss(), None, student, batch))
    assert_same_term(student, mine, torch.stack(alone).mean())


def test_a_task_without_labels() -> None:
    _, student = models()
    run = step_of(TaskLoss(), None, student, replace(batch_of(), labels=None))
    with pytest.raises(ValueError, match="the objective `task` needs labels and the data have none"):
        TaskLoss()(run)


def test_the_teacher_gets_no_gradient() -> None:
    (teacher, student), batch = models(), batch_of()
    teacher.model.requires_grad_(True)
    ResponseKD()(step_of(ResponseKD(), teacher, student, batch)).backward()
    assert all(parameter.grad is None for parameter in teacher.model.parameters())
    assert any(torch.any(p.grad != 0) for p in student.model.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("name", "share", "slow"),
    [
        ("reverse_kl", None, oracle.reverse_kl),
        ("jensen_shannon", 0.3, oracle.jensen_shannon(0.3)),
        ("total_variation", None, oracle.total_variation),
        ("skewed_forward_kl", None, oracle.skewed_forward_kl(0.1)),
        ("skewed_reverse_kl", 0.2, oracle.skewed_reverse_kl(0.2)),
    ],
)
def test_other_divergences(name: DivergenceName, share: float | None, slow: oracle.Oracle) -> None:
    (teacher, student), batch = models("causal_lm", "gpt2", "opt"), batch_of("causal_lm")
    s, t = (model.model(**batch.inputs).logits for model in (student, teacher))
    objective = ResponseKD(2.0, divergence=name, share=share)
    expected = 4 * oracle.mean(slow, s, t, batch.counted, 2.0)
    assert_same_term(student, objective(step_of(objective, teacher, student, batch)), expected)


def test_a_share_where_nothing_is_mixed() -> None:
    with pytest.raises(ValueError, match="reverse_kl mixes no distributions and has no `share`; leave it out, or use"):
        ResponseKD(divergence="reverse_kl", share=0.5)


def test_the_temperature_falls_to_one() -> None:
    anneal_temperature = ResponseKD(4.0, anneal_temperature=True)
    assert [anneal_temperature.temperature_at(epoch, 4) for epoch in range(4)] == pytest.approx([4, 3, 2, 1])
    assert anneal_temperature.temperature_at(0, 1) == 1  # where the authors' code divides by zero
    assert anneal_temperature.temperature_at(4, 4) == 1  # an epoch that was only begun
    assert ResponseKD(4.0).temperature_at(2, 4) == 4


def test_one_annealed_epoch_is_temperature_one() -> None:
    (teacher, student), batch = models("classification", "bert", "distilbert"), batch_of("classification")
    anneal_temperature, plain = ResponseKD(4.0, anneal_temperature=True), ResponseKD(1.0)
    run = step_of(anneal_temperature, teacher, student, batch)
    assert run.epochs == 1
    assert_same_term(student, anneal_temperature(run), plain(run))


@pytest.mark.parametrize("objective", [ResponseKD, ATKD, DKD])
@pytest.mark.parametrize("temperature", [0.0, -2.0, float("nan")])
def test_a_temperature_that_divides_nothing_is_refused(
    objective: Callable[[float], Objective], temperature: float
) -> None:
    with pytest.raises(ValueError, match=f"the temperature is {temperature}; logits are divided by it"):
        objective(temperature)


@pytest.mark.parametrize("scaled", [True, False])
def test_of_numbers_it_is_the_squared_error_whatever_the_divergence(scaled: bool) -> None:
    """Unscaled it is that of outputs divided by T, as in AD-KD's release."""
    (teacher, student), batch = models("regression", "bert", "bert"), batch_of("regression")
    s, t = (model.model(**batch.inputs).logits for model in (student, teacher))
    expected = (s - t).square().mean() / (1 if scaled else 16)
    for divergence in ("forward_kl", "reverse_kl"):
        objective = ResponseKD(4.0, divergence=divergence, scale_by_t2=scaled)
        assert_same_term(student, objective(step_of(objective, teacher, student, batch)), expected)


def test_the_mean_of_a_batch_of_questions_is_over_the_ends_that_are_there() -> None:
    """Where an answer is cut off, micro-batches would else not add up to one large batch."""
    batch = batch_of("question_answering")
    rows = len(batch.counted)
    labels = torch.full((rows, 2), -100)
    labels[0], labels[1, 0] = torch.tensor([1, 2]), 1
    amount = TaskLoss().requirements().amount("question_answering", replace(batch, labels=labels))
    assert amount == 3


def test_no_padding_predicts_a_label() -> None:
    """On the left, it stands before a row's first token, which has a label and nothing to be predicted from."""
    _, student = models("causal_lm", "gpt2", "gpt2")
    inputs = tiny_inputs(4, 10, side="left")
    batch = Batch(inputs, inputs["input_ids"].where(inputs["attention_mask"].bool(), -100))
    at = TaskLoss().requirements().logits_at("causal_lm", batch)
    terms = [TaskLoss()(StepContext(student, batch, student.run(inputs, logits_at=where))) for where in (None, at)]
    assert_same_term(student, *terms)
