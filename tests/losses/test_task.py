"""The loss of each task: equal to what the stock model computes, and to a loop; no label, no loss."""

import pytest
import torch
from torch import Tensor

from causalkd.data.token_mask import TOKEN_TASKS, targets
from causalkd.losses.task import task_loss
from causalkd.task_types import Task
from tests.tiny import VOCABULARY, tiny, tiny_inputs

CASES: list[tuple[str, Task]] = [
    ("bert", "masked_lm"),
    ("gpt2", "causal_lm"),
    ("bert", "classification"),
    ("bert", "multi_label"),
    ("bert", "regression"),
    ("bert", "token_classification"),
    ("bert", "question_answering"),
]


def _labels(task: Task, mask: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    rows, positions = mask.shape
    if task == "regression":
        return torch.randn(rows, generator=generator)
    if task == "classification":
        return torch.randint(3, (rows,), generator=generator)
    if task == "multi_label":
        return torch.randint(2, (rows, 3), generator=generator)
    if task == "question_answering":
        return torch.randint(positions // 2, (rows, 2), generator=generator)
    choices = 3 if task == "token_classification" else VOCABULARY
    return torch.randint(choices, mask.shape, generator=generator).masked_fill(~mask, -100)


@pytest.mark.parametrize(("architecture", "task"), CASES, ids=[task for _, task in CASES])
def test_it_is_the_stock_models_loss(architecture: str, task: Task) -> None:
    model, inputs = tiny(architecture, task), tiny_inputs()
    labels = _labels(task, inputs["attention_mask"].bool())
    if task == "question_answering":
        stock = model(**inputs, start_positions=labels[:, 0], end_positions=labels[:, 1])
        logits = torch.stack([stock.start_logits, stock.end_logits], -1)
    else:
        stock = model(**inputs, labels=labels.float() if task == "multi_label" else labels)
        logits = stock.logits
    if task in TOKEN_TASKS:
        labels = targets(task, labels)
    torch.testing.assert_close(task_loss(task, logits, labels), stock.loss, rtol=1e-6, atol=1e-6)


def test_a_causal_label_is_predicted_one_position_earlier() -> None:
    logits = torch.randn(2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[3, 1, 4, -100], [2, -100, 0, 1]])
    wanted = [(row, place, int(labels[row, place])) for row in range(2) for place in range(1, 4)]
    terms = [-logits[r, p - 1].log_softmax(-1)[label] for r, p, label in wanted if label >= 0]
    torch.testing.assert_close(task_loss("causal_lm", logits, targets("causal_lm", labels)), torch.stack(terms).mean())


@pytest.mark.parametrize("task", ["masked_lm", "causal_lm", "token_classification"])
def test_no_label_counts(task: Task) -> None:
    logits = torch.randn(2, 4, 5, requires_grad=True)
    loss = task_loss(task, logits, torch.full((2, 4), -100))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None and logits.grad.abs().sum() == 0


def test_what_has_no_label_may_be_anything() -> None:
    logits = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[2, -100, -100]])
    dirty = logits.masked_fill(torch.tensor([False, True, True])[None, :, None], torch.nan)
    assert torch.equal(task_loss("masked_lm", dirty, labels), task_loss("masked_lm", logits, labels))


@pytest.mark.parametrize("task", ["masked_lm", "classification", "multi_label", "regression", "question_answering"])
def test_gradcheck(task: Task) -> None:
    shape = {"masked_lm": (2, 3, 5), "classification": (2, 5), "regression": (2, 1), "question_answering": (2, 5, 2)}
    shape["multi_label"] = (2, 3)
    labels = {
        "masked_lm": torch.tensor([[0, -100, 4], [-100, -100, 1]]),
        "classification": torch.tensor([0, 4]),
        "multi_label": torch.tensor([[0, 1, 1], [0, 0, 0]]),
        "regression": torch.tensor([0.5, -1.0]),
        "question_answering": torch.tensor([[0, 1], [2, 4]]),
    }
    logits = torch.randn(shape[task], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: task_loss(task, values, labels[task]), logits)


def test_of_several_labels_those_that_a_row_lacks_do_not_count() -> None:
    logits = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = task_loss("multi_label", logits, torch.tensor([[1, -100, 0], [-100, -100, 1]]))
    signed = torch.stack([logits[0, 0], -logits[0, 2], logits[1, 2]])
    torch.testing.assert_close(found, -signed.sigmoid().log().mean())
    assert task_loss("multi_label", logits, torch.full((2, 3), -100)) == 0


def test_lists_of_one_number_are_numbers_and_longer_ones_are_refused() -> None:
    logits, labels = torch.tensor([[0.5], [2.0], [1.0]]), torch.tensor([1.0, 4.0, 3.0])
    expected = task_loss("regression", logits, labels)
    assert torch.equal(task_loss("regression", logits, labels[:, None]), expected)
    with pytest.raises(ValueError, match=r"the labels of a regression have shape \(3, 2\); give one number for each"):
        task_loss("regression", logits, labels[:, None].expand(3, 2))


def test_zero_at_agreement() -> None:
    labels = torch.tensor([1, 0])
    assert task_loss("classification", 80.0 * torch.nn.functional.one_hot(labels), labels).item() == 0.0
    assert task_loss("regression", torch.tensor([[0.5], [2.0]]), torch.tensor([0.5, 2.0])).item() == 0.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_many_tokens_of_half_precision_are_added_up_in_float32(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 8192, 40, generator=generator).to(dtype)
    labels = torch.randint(40, (1, 8192), generator=generator)
    loss = task_loss("masked_lm", logits, labels)
    torch.testing.assert_close(loss, task_loss("masked_lm", logits.float(), labels), rtol=0, atol=0)
    numbers = torch.tensor([[300.0], [-300.0]], dtype=dtype)  # their squares are beyond float16
    assert task_loss("regression", numbers, torch.zeros(2)).item() == pytest.approx(90_000, rel=2**-7)
