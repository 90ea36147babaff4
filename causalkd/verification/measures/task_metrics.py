"""How a model behaves without any intervention: its task metric, and how often it predicts what the teacher does."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import stats
from seqeval.metrics import f1_score as micro_f1
from sklearn import metrics
from torch import Tensor

from causalkd.data.batch import Batch
from causalkd.data.token_mask import TOKEN_TASKS, targets
from causalkd.errors import nearest
from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import label_names
from causalkd.task_types import Task
from causalkd.verification.interventions.predictions import (
    Predictions,
    counted_logits,
    counted_positions,
    logits_wanted,
    predictions,
    same,
    spans,
)


@dataclass(frozen=True, eq=False)
class LabelPredictions:
    """Every prediction of an evaluation set beside its label, one entry a prediction."""

    row: Int[Tensor, "item"]
    """The row each belongs to, counted over the whole set."""
    choice: Int[Tensor, "item"] | Float[Tensor, "item"]
    gold: Int[Tensor, "item"] | Float[Tensor, "item"] | Int[Tensor, "item 2"]
    gold_log_probability: Float[Tensor, "item"] | None
    """In nats; None for regression and question answering."""
    labels: tuple[str, ...]
    """Names of the classes; empty where there are none."""


@dataclass(frozen=True)
class Behaviour:
    """What one model does on an evaluation set."""

    task_metric: float | None
    """None where it is not defined, e.g. a correlation with a constant."""
    agreement: float | None
    """Share of predictions equal to the teacher's; None where those are not given."""
    rows: int


def evaluate(
    model: HookedModel, batches: Sequence[Batch], metric: str, taught: Sequence[Tensor] | None = None
) -> Behaviour:
    """The task metric of a model, and its agreement with a teacher.

    Costs a forward a batch; modes stay as they were.

    Args:
        model: Teacher or student.
        batches: With labels; sources and positions are not looked at.
        metric: A name in `METRICS`.
        taught: What the teacher chooses on the same batches (`choices`), with which the predictions are compared.

    Raises:
        ValueError: The metric does not exist or does not fit the task, or there are no labels.
    """
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} does not exist; {nearest(metric, list(METRICS))}")
    fitting, compute = METRICS[metric]
    if model.task not in fitting:
        raise ValueError(f"metric {metric!r} is for {' or '.join(fitting)}, and the model's task is {model.task}")
    parts: list[LabelPredictions] = []
    agreed: list[Tensor] = []
    rows = 0
    with torch.no_grad(), evaluating([model]):
        for batch, others in zip(batches, taught or [None] * len(batches), strict=True):
            batch = batch.to(model.model.device)
            found = predict(model, batch)
            parts.append(_answers(model, batch, found, rows))
            if others is not None:
                agreed.append(same(others, found.choice.cpu()))
            rows += len(batch.counted)
    if not parts:
        raise ValueError("no batch was given; a task metric needs at least one labelled row")
    together = _join(parts)
    share = float(torch.cat(agreed).double().mean()) if agreed and len(together.row) else None
    return Behaviour(compute(together) if len(together.row) else None, share, rows)


def choices(model: HookedModel, batches: Iterable[Batch]) -> list[Tensor]:
    """What a model predicts, batch by batch, on the host. Costs a forward a batch; modes stay as they were."""
    with torch.no_grad(), evaluating([model]):
        return [predict(model, batch.to(model.model.device)).choice.cpu() for batch in batches]


def right_rows(model: HookedModel, batches: Iterable[Batch]) -> Bool[Tensor, "row"]:
    """Which rows a model answers rightly, every counted prediction of them."""
    found: list[Tensor] = []
    with torch.no_grad(), evaluating([model]):
        for batch in batches:
            batch = batch.to(model.model.device)
            answers = _answers(model, batch, predict(model, batch), 0)
            gold = answers.gold
            right = (spans(answers.choice) == gold).all(1) if gold.dim() == 2 else same(answers.choice, gold)
            wrong = torch.zeros(len(batch.counted)).index_add(0, answers.row, (~right).float())
            found.append(wrong == 0)
    return torch.cat(found)


def predict(model: HookedModel, batch: Batch) -> Predictions:
    """The predictions of one plain forward at what counts."""
    counted = counted_positions(model.task, batch)
    run = model.run(batch.inputs, logits_at=logits_wanted(model.task, counted))
    return predictions(model.task, counted_logits(model.task, run.logits, counted), counted)


def _answers(model: HookedModel, batch: Batch, found: Predictions, rows: int) -> LabelPredictions:
    if batch.labels is None:
        raise ValueError("a batch has no labels, so no task metric can be computed; give labelled rows")
    gold = batch.labels
    if model.task in TOKEN_TASKS:
        gold = targets(model.task, gold)[counted_positions(model.task, batch)]
    log_probability = None
    if model.task not in ("regression", "question_answering"):
        log_probability = found.log_probabilities.gather(1, gold[:, None])[:, 0].cpu()
    return LabelPredictions(
        (found.row + rows).cpu(), found.choice.cpu(), gold.cpu(), log_probability, label_names(model)
    )


def _join(parts: Sequence[LabelPredictions]) -> LabelPredictions:
    known = [part.gold_log_probability for part in parts if part.gold_log_probability is not None]
    return LabelPredictions(
        torch.cat([part.row for part in parts]),
        torch.cat([part.choice for part in parts]),
        torch.cat([part.gold for part in parts]),
        torch.cat(known) if known else None,
        parts[0].labels,
    )


def _accuracy(answers: LabelPredictions) -> float:
    return float((answers.choice == answers.gold).double().mean())


def _matthews(answers: LabelPredictions) -> float | None:
    """None where only one class occurs among labels and predictions."""
    if len(torch.cat([answers.gold, answers.choice]).unique()) < 2:
        return None
    return float(metrics.matthews_corrcoef(answers.gold.numpy(), answers.choice.numpy()))


def _f1(answers: LabelPredictions) -> float:
    """Of class 1, as GLUE scores MRPC and QQP."""
    gold, choice = answers.gold.numpy(), answers.choice.numpy()
    return float(metrics.f1_score(gold, choice, pos_label=1, zero_division=0.0))  # type: ignore[arg-type]


def _correlation(function: Callable[..., tuple[float, float]]) -> Callable[[LabelPredictions], float | None]:
    def correlate(answers: LabelPredictions) -> float | None:
        numbers = [intervention.double().numpy() for intervention in (answers.gold, answers.choice)]
        if any(len(set(intervention.tolist())) < 2 for intervention in numbers):
            return None
        return float(function(*numbers)[0])

    return correlate


def _entity_f1(answers: LabelPredictions) -> float:
    """F1 of whole entities in BIO tags, micro-averaged."""
    tags: list[list[list[str]]] = []
    for intervention in (answers.gold, answers.choice):
        by_row: dict[int, list[str]] = {}
        for row, label in zip(answers.row.tolist(), intervention.tolist(), strict=True):
            by_row.setdefault(row, []).append(answers.labels[label])
        tags.append(list(by_row.values()))
    return float(np.mean(micro_f1(*tags, zero_division=0)))  # type: ignore[arg-type]


def _exact_match(answers: LabelPredictions) -> float:
    return float((spans(answers.choice) == answers.gold).all(1).double().mean())


def _answer_f1(answers: LabelPredictions) -> float:
    """Mean F1 of the tokens of the answer; tokens stand for SQuAD's normalised words, and there is one gold answer."""
    found, gold = spans(answers.choice), answers.gold
    shared = torch.minimum(found[:, 1], gold[:, 1]) - torch.maximum(found[:, 0], gold[:, 0]) + 1
    lengths = (found[:, 1] - found[:, 0] + 1) + (gold[:, 1] - gold[:, 0] + 1)
    return float((2 * shared.clamp_min(0) / lengths).double().mean())


def _perplexity(answers: LabelPredictions) -> float:
    """The mean negative log-probability of the labels in nats, exponentiated."""
    assert answers.gold_log_probability is not None
    return math.exp(-float(answers.gold_log_probability.double().mean()))


Compute = Callable[[LabelPredictions], float | None]

_CLASSES: tuple[Task, ...] = ("classification",)
METRICS: dict[str, tuple[tuple[Task, ...], Compute]] = {
    "accuracy": (("classification", *TOKEN_TASKS), _accuracy),
    "matthews_correlation": (_CLASSES, _matthews),
    "f1": (_CLASSES, _f1),
    "pearson": (("regression",), _correlation(stats.pearsonr)),
    "spearman": (("regression",), _correlation(stats.spearmanr)),
    "entity_f1": (("token_classification",), _entity_f1),
    "exact_match": (("question_answering",), _exact_match),
    "answer_f1": (("question_answering",), _answer_f1),
    "perplexity": (("masked_lm", "causal_lm"), _perplexity),
}
"""The tasks each metric fits, and how it is computed."""
