"""Predictions from the logits of any head, as items that each hold one prediction and one distribution.

An item is the unit that is counted: a row for classification, multi-label heads (whose prediction is the set of
labels), regression and question answering (whose prediction is a span), and a counted position for masked LM, causal LM
and token classification.

The predicted span is the likeliest one that SQuAD's scoring allows: inside the context and at most `LONGEST_ANSWER`
tokens long, or "there is no answer", the label of windows that do not contain the answer. Only the choice among the
windows of one question is left to the scores.
"""

from dataclasses import dataclass
from functools import cache
from random import Random

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from causalkd.data.batch import Batch
from causalkd.data.token_mask import TOKEN_TASKS, counted_tokens, flat_positions
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.task_types import Task

TOLERANCE = 0.5
"""The default tolerance: two predicted numbers whose difference is at most this are the same prediction; in the unit of
the labels."""

LONGEST_ANSWER = 30
"""The longest predicted answer in tokens, as in BERT's release."""

_NOTHING = -1  # the choice where the logits are NaN; all others are from 0 on
_SPAN_BASE = 1 << 24  # a span is coded as start * _SPAN_BASE + end
_LARGEST = (1 << 63) - 1


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of one forward pass over one batch.

    Attributes:
        row: The row of the batch that each item belongs to.
        choice: The predicted class, token, coded set of labels or coded span; for regression the number itself. If the
            logits are NaN, it is not a prediction; see `is_defined`.
        log_probabilities: Over classes or tokens; over (label, absent or present) for several labels a row; over (end,
            position) for spans; for regression the number.
    """

    row: Int[Tensor, "item"]
    choice: Int[Tensor, "item"] | Float[Tensor, "item"]
    log_probabilities: Float[Tensor, "item ..."]


def counted_positions(task: Task, batch: Batch) -> Bool[Tensor, "batch pos"]:
    """The positions at which logits count: for a token task the labelled ones, if the batch has labels; for question
    answering those at which an answer may be, if the batch has them; otherwise all real tokens.
    """
    if task == "question_answering" and batch.answerable is not None:
        return batch.answerable
    tokens = counted_tokens(task, batch, "labelled")
    return batch.counted if tokens is None else tokens


def logits_wanted(task: Task, counted: Bool[Tensor, "batch pos"]) -> Int[Tensor, "item"] | None:
    """The flat positions at which a token task's run must predict; None for heads that predict once per row."""
    return flat_positions(counted) if task in TOKEN_TASKS else None


def counted_logits(
    task: Task, logits: Float[Tensor, "item ..."], counted: Bool[Tensor, "batch pos"]
) -> Float[Tensor, "item ..."]:
    """The logits that decide the predictions, item by item; spans have (end, pos), with the minimum where no answer
    may be.

    For token tasks they are those of a run at `logits_wanted`.
    """
    if task != "question_answering":
        return logits
    return logits.masked_fill(~counted[..., None], torch.finfo(logits.dtype).min).transpose(1, 2)


def predictions(task: Task, logits: Float[Tensor, "item ..."], counted: Bool[Tensor, "batch pos"]) -> Predictions:
    """The predictions made from `counted_logits` of the same task and mask, at least in float32."""
    values = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if task in TOKEN_TASKS:
        row = counted.nonzero()[:, 0]
    else:
        row = torch.arange(len(logits), device=logits.device)
    if task == "regression":
        return Predictions(row, values[:, 0], values)
    choice, log_probabilities = _likeliest(task, values, counted)
    # One NaN makes a softmax NaN everywhere; with several labels, each has a distribution of its own.
    unknown = log_probabilities[..., :1].isnan().flatten(1).any(1)
    return Predictions(row, choice.masked_fill(unknown, _NOTHING), log_probabilities)


def _likeliest(
    task: Task, values: Float[Tensor, "item ..."], counted: Bool[Tensor, "batch pos"]
) -> tuple[Int[Tensor, "item"], Float[Tensor, "item ..."]]:
    """The likeliest choice by some logits, and the logarithms of all probabilities."""
    if task == "question_answering":
        ends = values.log_softmax(-1)
        return _best_spans(ends, counted), ends
    if task == "multi_label":
        either = functional.logsigmoid(torch.stack([-values, values], -1))
        return label_sets(either[..., 1] > either[..., 0]), either
    return values.argmax(-1), values.log_softmax(-1)


def label_sets(present: Bool[Tensor, "item label"]) -> Int[Tensor, "item"]:
    """The code of each row's set of labels, at least 0: the sum of its labels' words, modulo 2^63.

    The words of the first 63 labels are the powers of 2, so their sets have distinct codes. The words of further labels
    are random but fixed, so that two sets have the same code with a probability of 2^-63.
    """
    words = torch.tensor(_label_words(present.shape[1]), device=present.device)
    return (present * words).sum(1) & _LARGEST  # The sum overflows, but its last 63 bits are those of the true sum.


@cache
def _label_words(labels: int) -> tuple[int, ...]:
    random = Random(0)
    return tuple(1 << label if label < 63 else random.getrandbits(63) for label in range(labels))


def _best_spans(ends: Float[Tensor, "item 2 pos"], counted: Bool[Tensor, "item pos"]) -> Int[Tensor, "item"]:
    """The code of the likeliest span of at most `LONGEST_ANSWER` tokens that all count."""
    positions = ends.shape[2]
    both = ends[:, 0, :, None] + ends[:, 1, None, :]
    short = torch.ones(positions, positions, dtype=torch.bool, device=ends.device).triu().tril(LONGEST_ANSWER - 1)
    left_out = (~counted).cumsum(1)
    whole = (left_out[:, :, None] == left_out[:, None, :]) & counted[:, :, None]
    best = both.masked_fill(~(whole & short), -torch.inf).flatten(1).argmax(1)
    return best // positions * _SPAN_BASE + best % positions


def is_defined(choice: Tensor) -> Bool[Tensor, "item"]:
    """Which choices are predictions: those whose logits are not NaN, and numbers that are finite."""
    return choice.isfinite() if choice.is_floating_point() else choice != _NOTHING


def check_defined(choice: Tensor, model: HookedModel) -> None:
    """Refuses choices that are not predictions.

    Raises:
        ValueError: Some choices are not predictions.
    """
    unknown = int((~is_defined(choice)).sum())
    if unknown:
        raise ValueError(
            f"{unknown} of {len(choice)} predictions of {model} are made from outputs that are not finite, so nothing "
            "can be measured; look for weights that are not finite, and if it runs in half precision, load it in "
            "float32"
        )


def same(first: Tensor, second: Tensor, tolerance: float = TOLERANCE) -> Bool[Tensor, "item"]:
    """Which choices are the same prediction; numbers are if their difference is at most the tolerance.

    A choice that is not a prediction is the same as none, like NaN.
    """
    if first.is_floating_point():
        return (first - second).abs() <= tolerance
    return (first == second) & is_defined(first)


def divergence(teacher: Predictions, student: Predictions) -> Float[Tensor, "item"]:
    """KL(teacher || student) of each item in nats.

    The two ends of a span, and the labels of a row, are independent given the input, so their divergences add. A number
    is the mean of a normal distribution of variance one, which makes it half the squared distance.
    """
    given, other = teacher.log_probabilities, student.log_probabilities
    if teacher.choice.is_floating_point():
        return (given - other).square()[:, 0] / 2
    each = functional.kl_div(other, given, reduction="none", log_target=True)
    return each.flatten(1).sum(1).clamp_min(0)  # Rounding can give a value slightly below zero.


def spans(choice: Int[Tensor, "item"]) -> Int[Tensor, "item 2"]:
    """The start and end position of each coded span."""
    return torch.stack([choice // _SPAN_BASE, choice % _SPAN_BASE], dim=1)


def majority(choice: Tensor, tolerance: float = TOLERANCE) -> Tensor:
    """The constant guess that is right most often: the most frequent choice, or the number within tolerance of most."""
    if not is_defined(choice).any():
        return choice[0]
    choice = choice[is_defined(choice)]
    if choice.is_floating_point():
        ordered = choice.sort().values
        beyond = torch.searchsorted(ordered, ordered + 2 * tolerance, right=True)
        first = int((beyond - torch.arange(len(ordered), device=ordered.device)).argmax())
        return (ordered[first] + ordered[beyond[first] - 1]) / 2
    values, counts = choice.unique(return_counts=True)
    return values[counts.argmax()]
