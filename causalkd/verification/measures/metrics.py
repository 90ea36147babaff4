"""The metrics of every task, computed from predictions and their labels."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import stats
from seqeval.metrics import f1_score, precision_score, recall_score
from sklearn import metrics
from torch import Tensor

from causalkd.data.token_mask import TOKEN_TASKS
from causalkd.errors import nearest
from causalkd.task_types import LANGUAGE_MODELS, Task
from causalkd.verification.measures.squad import QuestionAnswer, answer_f1, answer_is_exact


@dataclass(frozen=True, eq=False)
class LabelPredictions:
    """Every prediction of an evaluation set with its label, one entry per prediction."""

    row: Int[Tensor, "item"]
    """The row of each prediction, counted over the whole set."""
    choice: Int[Tensor, "item"] | Float[Tensor, "item"] | Int[Tensor, "item label"]
    """The predictions; for rows with several labels, 1 for each predicted label."""
    gold: Int[Tensor, "item"] | Float[Tensor, "item"] | Int[Tensor, "item label"] | Int[Tensor, "item 2"]
    gold_log_probability: Float[Tensor, "item"] | None
    """The log-probability of each label in nats; None for regression and question answering."""
    labels: tuple[str, ...]
    """Names of the classes; empty if there are none."""
    answered: tuple[QuestionAnswer, ...] = ()
    """The questions of question answering, each once, however many windows its context has."""
    tags: tuple[tuple[list[str], list[str]], ...] = ()
    """The gold and the predicted tags of every word of each sentence; a word that was cut off has O as its
    prediction."""
    positive: int = 1
    """The number of the positive class of F1."""


def _accuracy(answers: LabelPredictions) -> float:
    """The share of right predictions; with several labels per row, of rows whose labels are all right; for tags, of
    words.

    The words are those in which entities are counted: all, or if no examples were given, those that the model reads.
    """
    if answers.tags:
        return float(np.mean(np.concatenate([right_words(*pair) for pair in answers.tags])))
    right = answers.choice == answers.gold
    return float((right if right.dim() == 1 else right.all(1)).double().mean())


def right_words(gold: Sequence[str], predicted: Sequence[str]) -> Bool[np.ndarray, " word"]:
    """Whether each word of a sentence has its tag."""
    return np.array([tag == found for tag, found in zip(gold, predicted, strict=True)], dtype=bool)


def _label_accuracy(answers: LabelPredictions) -> float:
    """The share of right labels among all labels of all rows, which is 1 − the Hamming loss."""
    return float((answers.choice == answers.gold).double().mean())


def _matthews(answers: LabelPredictions) -> float | None:
    """Matthews' correlation; None if only one class occurs among labels and predictions."""
    if len(torch.cat([answers.gold, answers.choice]).unique()) < 2:
        return None
    return float(metrics.matthews_corrcoef(answers.gold.numpy(), answers.choice.numpy()))


def _f1(answers: LabelPredictions) -> float:
    """F1 of the positive class, as GLUE scores MRPC and QQP."""
    gold, choice = (values.numpy() == answers.positive for values in (answers.gold, answers.choice))
    return float(metrics.f1_score(gold, choice, zero_division=0.0))  # type: ignore[arg-type]


def _correlation(function: Callable[..., tuple[float, float]]) -> Callable[[LabelPredictions], float | None]:
    def correlate(answers: LabelPredictions) -> float | None:
        numbers = [values.double().numpy() for values in (answers.gold, answers.choice)]
        if any(len(set(values.tolist())) < 2 for values in numbers):
            return None
        return float(function(*numbers)[0])

    return correlate


def _averaged_f1(average: str) -> Callable[[LabelPredictions], float]:
    """F1: with `macro` the mean F1 over classes or labels, with `micro` the F1 over the labels of all rows.

    If there is only one label, every average is the F1 of that label.
    """

    def score(answers: LabelPredictions) -> float:
        gold, choice = answers.gold.numpy(), answers.choice.numpy()
        if gold.ndim == 2 and gold.shape[1] == 1:  # scikit-learn would take it for two classes, absent and present
            return float(metrics.f1_score(gold[:, 0], choice[:, 0], zero_division=0.0))  # type: ignore[arg-type]
        return float(metrics.f1_score(gold, choice, average=average, zero_division=0.0))  # type: ignore[arg-type]

    return score


def _entities(score: Callable[..., object]) -> Callable[[LabelPredictions], float]:
    """A score of whole entities in BIO tags, micro-averaged."""

    def scored(answers: LabelPredictions) -> float:
        return float(np.mean(score(*map(list, zip(*answers.tags, strict=True)), zero_division=0)))  # type: ignore[arg-type]

    return scored


def _exact_match(answers: LabelPredictions) -> float:
    return float(np.mean([answer_is_exact(each.text, each.accepted) for each in answers.answered]))


def _answer_f1(answers: LabelPredictions) -> float:
    return float(np.mean([answer_f1(each.text, each.accepted) for each in answers.answered]))


def _perplexity(answers: LabelPredictions) -> float:
    """The mean negative log-probability of the labels in nats, exponentiated."""
    assert answers.gold_log_probability is not None
    return exponential(-float(answers.gold_log_probability.double().mean()))


def exponential(nats: float) -> float:
    """The exponential of some nats, infinite if a float cannot hold it; NaN stays NaN."""
    return math.inf if nats >= _LARGEST_EXPONENT else math.exp(nats)


_LARGEST_EXPONENT = 709.0  # the largest value whose exponential a float can hold
Compute = Callable[[LabelPredictions], float | None]

_CLASSES: tuple[Task, ...] = ("classification",)
METRICS: dict[str, tuple[tuple[Task, ...], Compute]] = {
    "accuracy": (("classification", "multi_label", *TOKEN_TASKS), _accuracy),
    "label_accuracy": (("multi_label",), _label_accuracy),
    "matthews_correlation": (_CLASSES, _matthews),
    "f1": (_CLASSES, _f1),
    "micro_f1": (("multi_label",), _averaged_f1("micro")),
    "macro_f1": (("classification", "multi_label"), _averaged_f1("macro")),
    "pearson": (("regression",), _correlation(stats.pearsonr)),
    "spearman": (("regression",), _correlation(stats.spearmanr)),
    "entity_f1": (("token_classification",), _entities(f1_score)),
    "entity_precision": (("token_classification",), _entities(precision_score)),
    "entity_recall": (("token_classification",), _entities(recall_score)),
    "exact_match": (("question_answering",), _exact_match),
    "answer_f1": (("question_answering",), _answer_f1),
    "perplexity": (LANGUAGE_MODELS, _perplexity),
}
"""The tasks that each metric fits, and the function that computes it."""

_ENTITY_TAG = re.compile(r"O|[BIES](-.+)?")
"""A tag that marks the beginning, the inside or the end of an entity, or its absence."""
REPORTED_BESIDE: Mapping[str, tuple[str, ...]] = {
    "f1": ("accuracy",),
    "micro_f1": ("macro_f1", "accuracy", "label_accuracy"),
    "spearman": ("pearson",),
    "pearson": ("spearman",),
    "entity_f1": ("entity_precision", "entity_recall"),
    "answer_f1": ("exact_match",),
}
"""The metrics that are reported in addition to a task's own, as GLUE, CoNLL and SQuAD do."""


def reported(metric: str, further: Sequence[str] = ()) -> tuple[str, ...]:
    """The task's own metric, the further ones, and those that are usually reported with it; each once."""
    return tuple(dict.fromkeys((metric, *further, *REPORTED_BESIDE.get(metric, ()))))


def check_metrics(task: Task, names: Sequence[str], labels: Sequence[str] = ()) -> None:
    """Refuses metrics that a task, or a task with these labels, does not have.

    Raises:
        ValueError: Some do not exist or are for other tasks; the message lists them.
    """
    faults = [
        f"metric {name!r} does not exist; {nearest(name, list(METRICS))}" for name in names if name not in METRICS
    ]
    faults += [
        f"metric {name!r} is for {' or '.join(METRICS[name][0])}, and the model's task is {task}"
        for name in names
        if name in METRICS and task not in METRICS[name][0]
    ]
    if "f1" in names and task == "classification" and len(labels) > 2:
        faults.append(f"metric 'f1' is for the second of two classes, but there are {len(labels)}; use macro_f1")
    other = [label for label in labels if not _ENTITY_TAG.fullmatch(label)]
    entities = [name for name in names if name.startswith("entity_")]
    if entities and other:
        faults.append(
            f"metric {entities[0]!r} is for entities, whose tags are O or like B-person and I-person, but there are "
            f"the tags {', '.join(other[:5])}; use accuracy: `metrics: [accuracy]` in `data`"
        )
    if faults:
        raise ValueError("\n".join(faults))
