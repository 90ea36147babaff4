"""AD-KD against its slow reading: every row, view and step by itself, all graphs alive."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from causalkd.data.batch import IGNORED, Batch
from causalkd.models.hooks.attention import attention_of, twice_differentiable
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.students import student_from_teacher
from causalkd.objectives.adkd import ADKD
from causalkd.objectives.base import StepContext
from causalkd.objectives.teacher_outputs import TeacherOutputs
from causalkd.task_types import Task
from tests.objectives.steps import assert_same_term, batch_of, gradients, models


def _step(objective: ADKD, teacher: HookedModel, student: HookedModel, batch: Batch) -> StepContext:
    kept = objective.requirements()
    logits_at = kept.logits_at(student.task, batch)
    with twice_differentiable(student):
        student_run = student.run(batch.inputs, kept.student, logits_at=logits_at)
    teacher_outputs = TeacherOutputs(teacher, batch, kept.teacher, logits_at, kept.teacher_query)
    return StepContext(student, batch, student_run, teacher, teacher_outputs)


def _term(objective: ADKD, teacher: HookedModel, student: HookedModel, batch: Batch) -> Tensor:
    with twice_differentiable(student):
        return objective(_step(objective, teacher, student, batch))


def _map(model: HookedModel, inputs: Any, row: int, position: int | None, choice: int, steps: int, top: int) -> Tensor:
    """One row's map of −log p of one choice, unscaled, in the model's graph."""
    hook_point, kept = model.model.get_submodule(model.hook_point("block_input", 0).module), {}
    one = {name: tensor[row : row + 1] for name, tensor in inputs.items()}

    def hook(module: Any, args: Any) -> Any:
        kept["leaf"] = kept.get("share", 1.0) * args[0]
        if model.role == "teacher":
            kept["leaf"].requires_grad_()
        return (kept["leaf"], *args[1:])

    handle = hook_point.register_forward_pre_hook(hook)
    total: Any = 0
    for step in range(1, steps + 1):
        kept["share"] = step / steps
        logits = model.model(**one).logits[0]
        loss = -(logits if position is None else logits[position]).log_softmax(-1)[choice]
        total = total + torch.autograd.grad(loss, kept["leaf"], create_graph=True)[0] / steps
    handle.remove()
    values = (total * kept["leaf"])[0]  # the last step stands at the activation itself
    return torch.linalg.vector_norm(values.abs().topk(top, dim=-1).values, dim=-1)


def _oracle(
    teacher: HookedModel,
    student: HookedModel,
    batch: Batch,
    chosen: list[list[tuple[int | None, int]]],
    **settings: int,
) -> Tensor:
    """`chosen` holds (position, choice) for each view and row."""
    steps, top = settings.get("steps", 1), settings.get("top", teacher.width)
    total = torch.zeros((), dtype=torch.float64)
    for view in chosen:
        found, count = torch.zeros((), dtype=torch.float64), 0
        for row, (position, choice) in enumerate(view):
            s = _map(student, batch.inputs, row, position, choice, steps, student.width)
            t = _map(teacher, batch.inputs, row, position, choice, steps, top).detach()
            found = found + (s / s.norm() - t / t.norm()).square().sum()
            count += int((t != 0).sum())
        total = total + found / count
    return total


def _eager(*pair: HookedModel) -> None:
    for model in pair:
        model.model.set_attn_implementation("eager")


@pytest.mark.parametrize(("steps", "top_k"), [(1, None), (3, 20)])
def test_value_and_gradient_of_every_class(steps: int, top_k: int | None) -> None:
    (teacher, student), batch = models("classification"), batch_of("classification")
    _eager(teacher, student)
    objective = ADKD(teacher, student, steps=steps, top_k=top_k)
    chosen: list[list[tuple[int | None, int]]] = [[(None, label)] * 4 for label in range(3)]
    expected = _oracle(teacher, student, batch, chosen, steps=steps, top=top_k or teacher.width)
    assert_same_term(student, _term(objective, teacher, student, batch), expected)


@pytest.mark.parametrize(("task", "one", "other"), [("masked_lm", "bert", "distilbert"), ("causal_lm", "opt", "gpt2")])
def test_value_and_gradient_of_the_likeliest_tokens(task: Task, one: str, other: str) -> None:
    (teacher, student), batch = models(task, one, other), batch_of(task)
    _eager(student)  # eager attention of OPT is in float32 whatever it is given
    objective = ADKD(teacher, student, views=2, steps=2)
    found = objective.query.position(task, batch)
    assert found is not None and found[1].all()
    logits = teacher.run(batch.inputs).logits
    tokens = [logits[row, at].topk(2).indices.tolist() for row, at in enumerate(found[0].tolist())]
    chosen = [[(at, tokens[row][view]) for row, at in enumerate(found[0].tolist())] for view in range(2)]
    expected = _oracle(teacher, student, batch, chosen, steps=2)
    assert_same_term(student, _term(objective, teacher, student, batch), expected)


def test_another_hook_point_another_width_and_the_label() -> None:
    teacher, _ = models("classification")
    student, batch = student_from_teacher(teacher, layers=(0, 2), width=16), batch_of("classification")
    objective = ADKD(teacher, student, views="label", hook_point="blocks.1.hook_in", distance="l1", norm=1, top_k=0.5)
    loss = _term(objective, teacher, student, batch)
    assert 0 < loss.item() < 1 and objective.query.top_k == 16
    moved = [gradient.abs().max().item() for gradient in gradients(student, loss)]
    assert max(moved) > 1e-4


def test_each_model_at_a_hook_point_of_its_own() -> None:
    (teacher, student), batch = models("classification"), batch_of("classification")
    objective = ADKD(teacher, student, hook_point="blocks.0.hook_out", teacher_hook_point="blocks.1.hook_out")
    assert objective.query.hook_point == teacher.hook_point("block_output", 1)
    assert objective.requirements().student == (student.hook_point("block_output", 0),)
    assert 0 < _term(objective, teacher, student, batch).item() < 3


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("task", ["masked_lm", "causal_lm"])
def test_a_batch_without_labels_teaches_nothing(task: Task, steps: int) -> None:
    teacher, student = models(task, *(("gpt2", "opt") if task == "causal_lm" else ()))
    batch = batch_of(task)
    batch = replace(batch, labels=torch.full_like(batch.counted.long(), IGNORED))
    loss = _term(ADKD(teacher, student, views=2, steps=steps), teacher, student, batch)
    assert loss.item() == 0 and all(each.abs().max() == 0 for each in gradients(student, loss))


def test_rows_without_a_label_do_not_count() -> None:
    (teacher, student), batch = models("classification"), batch_of("classification")
    assert batch.labels is not None
    some = replace(batch, labels=torch.where(torch.tensor([True, False, True, True]), batch.labels, IGNORED))
    objective, rows = ADKD(teacher, student, views="label"), torch.tensor([0, 2, 3])
    without = Batch({name: each[rows] for name, each in batch.inputs.items()}, labels=batch.labels[rows])
    found, expected = (_term(objective, teacher, student, each).item() for each in (some, without))
    assert found == pytest.approx(expected, rel=1e-9)


def test_an_identical_student_has_nothing_to_learn() -> None:
    teacher, _ = models("classification")
    student, batch = student_from_teacher(teacher, every=1), batch_of("classification")
    loss = _term(ADKD(teacher, student, steps=2), teacher, student, batch)
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert max(gradient.abs().max().item() for gradient in gradients(student, loss)) < 1e-5


def test_regression_explains_the_loss() -> None:
    (teacher, student), batch = models("regression"), batch_of("classification")
    batch = replace(batch, labels=torch.tensor([0.5, 1.0, -2.0, 3.0], dtype=torch.float64))
    by_label = _term(ADKD(teacher, student, views="label"), teacher, student, batch)
    assert _term(ADKD(teacher, student), teacher, student, batch).item() == by_label.item() > 0
    # (z − y)² pulls every row's map by one factor, which scaling takes out.
    by_number = _term(ADKD(teacher, student, target="logit"), teacher, student, batch)
    assert by_number.item() == pytest.approx(by_label.item(), rel=1e-9)


def test_without_gradients_and_with_dropout() -> None:
    (teacher, student), batch = models("classification", dropout=0.3), batch_of("classification")
    student.model.train()
    objective = ADKD(teacher, student, steps=2)
    with torch.no_grad():
        assert not _term(objective, teacher, student, batch).requires_grad
    loss = _term(objective, teacher, student, batch)
    loss.backward()
    assert attention_of(student) == "sdpa" and student.model.training
    assert all(p.grad is None and not p.requires_grad for p in teacher.model.parameters())


@pytest.mark.parametrize("steps", [1, 3])
def test_bfloat16_is_near_float32_backward_included(steps: int) -> None:
    """The later walk along the path runs after autocast has ended, under the same autocast."""
    (teacher, student), batch = models("classification"), batch_of("classification")
    for model in (teacher, student):
        model.model.float()
    objective, found = ADKD(teacher, student, steps=steps), []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            term = _term(objective, teacher, student, batch)
        with twice_differentiable(student):
            found.append((term, torch.cat([gradient.flatten() for gradient in gradients(student, term)])))
    (whole, whole_gradient), (half, half_gradient) = found
    assert half.dtype == half_gradient.dtype == torch.float32
    assert not half.equal(whole) and half.item() == pytest.approx(whole.item(), rel=0.1)
    assert torch.cosine_similarity(half_gradient, whole_gradient, dim=0) > 0.98


def test_what_cannot_be_explained() -> None:
    classes, tokens, numbers = (models(task) for task in ("classification", "masked_lm", "regression"))
    with pytest.raises(ValueError, match=r"adkd's views are 'all', but a masked_lm has 97 classes; give the number"):
        ADKD(*tokens)
    with pytest.raises(ValueError, match=r"adkd's views are 4, a number of tokens, but this is a classification"):
        ADKD(*classes, views=4)
    with pytest.raises(ValueError, match=r"adkd's top_k is 33, but the teacher is 32 wide at blocks.0.hook_in"):
        ADKD(*classes, top_k=33)
    with pytest.raises(ValueError, match=r"adkd's top_k is 1.5, but .* or a fraction up to 1.0"):
        ADKD(*classes, top_k=1.5)
    with pytest.raises(ValueError, match="steps is 0, but a path has at least 1"):
        ADKD(*classes, steps=0)
    with pytest.raises(ValueError, match=r"explains classes, a number or a next token, and .* multi_label head"):
        ADKD(*models("multi_label"))
    with pytest.raises(ValueError, match="adkd's target is 'probability', but a regression has no classes"):
        ADKD(*numbers, target="probability")
    with pytest.raises(ValueError, match=r"'blocks.9.hook_in' is not a hook point of"):
        ADKD(*classes, hook_point="blocks.9.hook_in")
    with pytest.raises(
        ValueError, match=r"adkd's hook point is blocks.2.hook_out .* only the position that the head reads"
    ):
        ADKD(*classes, hook_point="blocks.0.hook_in", teacher_hook_point="blocks.2.hook_out")
    with pytest.raises(ValueError, match="question_answering head; leave adkd out"):
        ADKD(*models("question_answering"))
