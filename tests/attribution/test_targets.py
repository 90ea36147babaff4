"""Views: which output is explained, what its target says, and views that no head has."""

import pytest
import torch
from torch.testing import assert_close

from causalkd.attribution.integrated_gradients import BASELINES
from causalkd.attribution.targets import (
    TARGETS,
    Target,
    Views,
    check_rows,
    check_views,
    class_views,
    label_views,
    logits_at,
    steep_values,
    token_views,
    view_values,
)
from causalkd.errors import check_choice
from tests.tiny import tiny_inputs

LOGITS = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("target", ["probability", "log_probability", "logit", "loss"])
def test_the_value_of_every_class(target: Target) -> None:
    p = LOGITS.softmax(-1)
    expected = {"probability": p, "log_probability": p.log(), "logit": LOGITS, "loss": -p.log()}[target]
    torch.testing.assert_close(view_values(LOGITS, class_views(3, 4), target), expected.T)


def test_the_value_of_the_label() -> None:
    labels = torch.tensor([2, 0, 1, 1])
    loss = torch.nn.functional.cross_entropy(LOGITS, labels, reduction="none")
    torch.testing.assert_close(view_values(LOGITS, label_views(labels), "loss"), loss[None])
    numbers = torch.tensor([0.5, 1.0, -1.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(
        view_values(LOGITS[:, :1], label_views(numbers), "loss"), (LOGITS[:, 0] - numbers).square()[None]
    )


def test_the_likeliest_tokens_at_a_position() -> None:
    views = token_views(LOGITS, torch.tensor([1, 4, 0, 2]), 2)
    expected = LOGITS.softmax(-1).sort(descending=True).values[:, :2]
    torch.testing.assert_close(view_values(LOGITS, views, "probability"), expected.T)
    assert logits_at(views, 5).tolist() == [1, 9, 10, 17]
    assert logits_at(class_views(3, 4), 5) is None


def test_what_no_head_has() -> None:
    with pytest.raises(ValueError, match="view 2 is not a class of this head, which has 0–1"):
        check_views(Views(torch.tensor([[0, 2, 1, 1]])), "classification", 2, "logit")
    with pytest.raises(ValueError, match="regression needs its labels"):
        check_views(class_views(1, 4), "regression", 1, "loss")
    with pytest.raises(ValueError, match="view 3 is a class and this head predicts a number; give label_views float"):
        check_views(label_views(torch.tensor([0, 3])), "regression", 1, "loss")
    with pytest.raises(ValueError, match=r"the labels have shape \(4, 2\); give one for each row"):
        label_views(torch.zeros(4, 2))
    assert label_views(torch.zeros(4, 1)).choice.shape == (1, 4)
    with pytest.raises(ValueError, match="4 likeliest tokens asked for; there are 1–3"):
        token_views(LOGITS, torch.zeros(4).long(), 4)
    with pytest.raises(ValueError, match="target 'probability' needs classes and this head predicts a number"):
        check_views(class_views(1, 4), "regression", 1, "probability")
    with pytest.raises(ValueError, match="the views are of 2 classes and this head has 3; give all of them"):
        check_views(class_views(2, 4), "classification", 3, "probability")
    check_views(class_views(2, 4), "classification", 2, "probability")


def test_what_no_row_has() -> None:
    classes, real = class_views(2, 4), tiny_inputs(4, 6)["attention_mask"].bool()  # of 6, 5, 4 and 6 tokens
    tokens = Views(torch.zeros(1, 4, dtype=torch.long), torch.tensor([0, 4, 3, 5]))
    with pytest.raises(ValueError, match="question_answering head predicts no single class"):
        check_rows(classes, "question_answering", real)
    with pytest.raises(ValueError, match="masked_lm head needs a position in each row; make them with token_views"):
        check_rows(classes, "masked_lm", real)
    with pytest.raises(ValueError, match=r"the views have shape \(0, 4\); give \(view, batch\), and at least one view"):
        check_rows(Views(classes.choice[:0]), "classification", real)
    with pytest.raises(ValueError, match="the views are of 4 rows and the inputs have 3"):
        check_rows(classes, "classification", real[:3])
    for row, position in ((1, 6), (2, -1), (1, 5)):
        wrong = tokens.position.clone()
        wrong[row] = position
        with pytest.raises(ValueError, match=f"row {row} has no token at position {position}, where its views are"):
            check_rows(Views(tokens.choice, wrong), "causal_lm", real)
    check_rows(tokens, "causal_lm", real)
    check_rows(classes, "classification", real)


def test_a_setting_of_another_name() -> None:
    """Tests check types and would stop such a setting before; who installs the package has no such checks."""
    check_choice("target", "loss", TARGETS)
    check_choice("baseline", "[MASK]", BASELINES)
    with pytest.raises(
        ValueError, match="target is 'prob'; it is one of 'probability', 'log_probability', 'logit', 'loss'"
    ):
        check_choice("target", "prob", TARGETS)


@pytest.mark.parametrize(("views", "choices"), [(1, 2), (3, 7), (4, 4), (5, 3), (3, 200)])
def test_log_odds_and_their_gradient_are_those_of_the_probability(views: int, choices: int) -> None:
    """Some views are of one entry, and some of all."""
    logits = torch.randn(6, choices, dtype=torch.float64, requires_grad=True)
    choice = torch.arange(6 * views).reshape(views, 6) * 5 % choices
    found = steep_values(logits, Views(choice), "log_probability")
    p = logits.softmax(-1).T.gather(0, choice)
    expected = (p / (1 - p)).log()
    assert_close(found, expected)
    assert_close(*(torch.autograd.grad(each.sum(), logits, retain_graph=True) for each in (found, expected)))
