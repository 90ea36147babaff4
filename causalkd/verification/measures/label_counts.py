"""Metrics over classes, computed for many samples of rows at once.

They follow from three counts of each class: its right predictions, its predictions, and its labels. A resampled row
counts as often as it was drawn, so the counts of all samples are one matrix product each.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from causalkd.verification.measures.metrics import LabelPredictions

Counts = Float[np.ndarray, "*samples label"]


class LabelCounts(NamedTuple):
    """The counts of each class, or of each of several labels, in each sample.

    Attributes:
        right: Right predictions.
        predicted: Predictions.
        gold: Gold labels.
    """

    right: Counts
    predicted: Counts
    gold: Counts


def label_counts(answers: LabelPredictions, chosen: Int[np.ndarray, "*samples drawn"]) -> LabelCounts:
    """The counts of each class in some samples.

    Args:
        answers: Predictions of classification or of several labels per row, one per row.
        chosen: The rows of each sample; a sample may name a row several times.
    """
    times = _times_drawn(chosen, len(answers.row))
    predicted, gold = _occurrences(answers)
    return LabelCounts(times @ (predicted * gold), times @ predicted, times @ gold)


def macro_f1(answers: LabelPredictions, chosen: Int[np.ndarray, "*samples drawn"]) -> Float[np.ndarray, "*samples"]:
    """The mean F1 over classes in each sample, as scikit-learn defines it.

    A class without labels and predictions in a sample is left out. With several labels per row, no label is left out;
    one without labels and predictions counts as 0. Arguments are those of `label_counts`.
    """
    counts = label_counts(answers, chosen)
    either = counts.predicted + counts.gold
    occurs = np.ones_like(either) if answers.gold.dim() > 1 else either > 0
    each = np.divide(2 * counts.right, either, out=np.zeros_like(either), where=either > 0)
    return np.asarray((each * occurs).sum(-1) / occurs.sum(-1))


def matthews(answers: LabelPredictions, chosen: Int[np.ndarray, "*samples drawn"]) -> Float[np.ndarray, "*samples"]:
    """Matthews' correlation in each sample (Gorodkin 2004, for any number of classes).

    It is 0 if labels or predictions are all of one class, and NaN if both are, of the same class. Arguments are those
    of `label_counts`.
    """
    counts = label_counts(answers, chosen)
    rows = counts.gold.sum(-1)
    together = rows * counts.right.sum(-1) - (counts.predicted * counts.gold).sum(-1)
    spread = [rows**2 - (of**2).sum(-1) for of in (counts.predicted, counts.gold)]
    scale = np.sqrt(spread[0] * spread[1])
    found = np.divide(together, scale, out=np.zeros_like(together), where=scale > 0)
    return np.where((counts.predicted + counts.gold > 0).sum(-1) > 1, found, np.nan)


def _times_drawn(chosen: Int[np.ndarray, "*samples drawn"], rows: int) -> Float[np.ndarray, "*samples row"]:
    """The number of times that each sample names each row."""
    flat = chosen.reshape(-1, chosen.shape[-1])
    own = flat + rows * np.arange(len(flat))[:, None]
    times = np.bincount(own.ravel(), minlength=rows * len(flat))
    return times.reshape(*chosen.shape[:-1], rows).astype(float)


def _occurrences(answers: LabelPredictions) -> tuple[Float[np.ndarray, "row label"], Float[np.ndarray, "row label"]]:
    """Two tables of rows and labels: 1 for a predicted label, and 1 for a gold label."""
    choice, gold = answers.choice.numpy(), answers.gold.numpy()
    if gold.ndim == 1:
        choice, gold = (values[:, None] == np.union1d(gold, choice) for values in (choice, gold))
    return choice.astype(float), gold.astype(float)
