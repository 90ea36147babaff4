"""Measurements without any intervention: a model's task metrics, and its agreement with the teacher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from causalkd.data.batch import Batch, Example
from causalkd.data.token_mask import TOKEN_TASKS, targets
from causalkd.models.head_labels import label_names
from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.processes.processes import ALONE, Processes
from causalkd.verification.interventions.predictions import (
    TOLERANCE,
    Predictions,
    check_defined,
    counted_logits,
    counted_positions,
    logits_wanted,
    predictions,
    same,
    spans,
)
from causalkd.verification.measures.example_rows import examples_of
from causalkd.verification.measures.metrics import METRICS, LabelPredictions, check_metrics, reported
from causalkd.verification.measures.squad import WindowAnswer, question_answers, window_answers

__all__ = ["METRICS", "Behaviour", "LabelPredictions", "answers_of", "choices", "evaluate", "predict", "right_rows"]


@dataclass(frozen=True)
class Behaviour:
    """The measurements of one model on an evaluation set."""

    task_metric: float | None
    """The task metric; None if it is not defined, such as a correlation with a constant."""
    agreement: float | None
    """The share of predictions equal to the teacher's; None if those are not given."""
    rows: int
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """The task metric and those reported with it (`REPORTED_BESIDE`), by name."""
    answers: LabelPredictions | None = field(default=None, compare=False, repr=False)
    """Every prediction with its label, from which the metrics are computed."""


def evaluate(
    model: HookedModel,
    batches: Sequence[Batch],
    metric: str,
    teacher_choices: Sequence[Tensor] | None = None,
    examples: Sequence[Example] | None = None,
    further: Sequence[str] = (),
    processes: Processes = ALONE,
    positive: int = 1,
    tolerance: float = TOLERANCE,
) -> Behaviour:
    """The task metric of a model, and its agreement with a teacher.

    Costs one forward pass per batch; training and evaluation modes are unchanged.

    Args:
        model: The teacher or a student.
        batches: Labelled batches; sources and positions are not used.
        metric: A name in `METRICS`.
        teacher_choices: The teacher's `choices` on the same batches, with which the predictions are compared.
        examples: The examples of the batches, which then need their `index` among them. Question answering needs them;
            with them, tags count at every word, not only at those that the model reads.
        further: Metrics that are reported in addition to the usual ones.
        processes: The processes that share the batches; each then has the results of all.
        positive: The number of the positive class of the metric `f1`.
        tolerance: For regression: the largest difference of two numbers that agree.

    Raises:
        ValueError: The metric does not exist or does not fit the task, there are no labels, or the model gives NaN.
    """
    names = reported(metric, further)
    check_metrics(model.task, names, label_names(model))
    answers, share, rows = _collect(model, batches, metric, teacher_choices, examples, processes, positive, tolerance)
    found = {name: METRICS[name][1](answers) if len(answers.row) else None for name in names}
    return Behaviour(found[metric], share, rows, found, answers)


def answers_of(
    model: HookedModel,
    batches: Sequence[Batch],
    metric: str,
    examples: Sequence[Example] | None = None,
    processes: Processes = ALONE,
    positive: int = 1,
) -> LabelPredictions:
    """Every prediction of a model with its label, from which each metric of its task is computed.

    Arguments, cost and errors are those of `evaluate`.
    """
    return _collect(model, batches, metric, None, examples, processes, positive)[0]


def _collect(
    model: HookedModel,
    batches: Sequence[Batch],
    metric: str,
    teacher_choices: Sequence[Tensor] | None,
    examples: Sequence[Example] | None,
    processes: Processes,
    positive: int,
    tolerance: float = TOLERANCE,
) -> tuple[LabelPredictions, float | None, int]:
    check_metrics(model.task, (metric,))
    if model.task == "question_answering" and examples is None:
        raise ValueError(
            "answers are compared as texts, which batches do not hold; give the examples that they are made of"
        )
    parts: list[LabelPredictions] = []
    windows: list[WindowAnswer] = []
    agreed: list[Tensor] = []
    starts = [0, *accumulate(len(batch.counted) for batch in batches)]
    with torch.no_grad(), evaluating([model]):
        for number in processes.share(len(batches)):
            batch = _read(model, batches[number])
            logits, found = _predicted(model, batch)
            parts.append(_answers(model, batch, found, starts[number]))
            if model.task == "question_answering" and examples is not None:
                windows += window_answers(logits, batch, examples)
            if teacher_choices is not None:
                agreed.append(same(teacher_choices[number], found.choice.cpu(), tolerance))
    parts, windows, agreed = processes.together((parts, windows, agreed))
    if not parts:
        raise ValueError("no batch was given; a task metric needs at least one labelled row")
    together = replace(_join(parts), positive=positive)
    if windows and examples is not None:
        accepted = {example["question"]: example["answers"] for example in examples}
        may_lack = any(example.get("may_lack", not example["answers"]) for example in examples)
        together = replace(together, answered=question_answers(windows, accepted, may_lack=may_lack))
    if model.task == "token_classification":
        whole = None if examples is None else [row for batch in batches for row in examples_of(batch, examples)]
        together = replace(together, tags=_tags(together, whole))
    share = float(torch.cat(agreed).double().mean()) if agreed and len(together.row) else None
    return together, share, starts[-1]


def choices(
    model: HookedModel,
    batches: Sequence[Batch],
    processes: Processes = ALONE,
) -> list[Tensor]:
    """A model's choices, batch by batch, on the host. Costs one forward pass per batch; modes are unchanged."""
    with torch.no_grad(), evaluating([model]):
        mine = (batches[number] for number in processes.share(len(batches)))
        return processes.together([predict(model, batch).choice.cpu() for batch in mine])


def right_rows(
    model: HookedModel,
    batches: Sequence[Batch],
    processes: Processes = ALONE,
    tolerance: float = TOLERANCE,
) -> Bool[Tensor, "row"]:
    """Which rows a model predicts correctly at every position that counts, on the host."""
    found: list[Tensor] = []
    with torch.no_grad(), evaluating([model]):
        for number in processes.share(len(batches)):
            batch = _read(model, batches[number])
            answers = _answers(model, batch, _predicted(model, batch)[1], 0)
            gold = answers.gold
            choice = spans(answers.choice) if model.task == "question_answering" else answers.choice
            right = (choice == gold).all(1) if gold.dim() == 2 else same(choice, gold, tolerance)
            wrong = torch.zeros(len(batch.counted)).index_add(0, answers.row, (~right).float())
            found.append(wrong == 0)
    return torch.cat(processes.together(found))


def predict(model: HookedModel, batch: Batch) -> Predictions:
    """The predictions of one forward pass without intervention, at the positions that count in the model's tokens."""
    return _predicted(model, _read(model, batch))[1]


def _read(model: HookedModel, batch: Batch) -> Batch:
    """A batch in the tokens that the model reads, on its device."""
    return batch.read_by(model.role).to(model.model.device)


def _predicted(model: HookedModel, batch: Batch) -> tuple[Float[Tensor, "item ..."], Predictions]:
    """The logits that decide, and the predictions made from them.

    Raises:
        ValueError: Some logits are NaN.
    """
    counted = counted_positions(model.task, batch)
    run = model.run(batch.inputs, logits_at=logits_wanted(model.task, counted))
    logits = counted_logits(model.task, run.logits, counted)
    found = predictions(model.task, logits, counted)
    check_defined(found.choice, model)
    return logits, found


def _answers(model: HookedModel, batch: Batch, found: Predictions, rows: int) -> LabelPredictions:
    if batch.labels is None:
        raise ValueError("a batch has no labels, so no task metric can be computed; give labelled rows")
    gold, choice = batch.labels, found.choice
    if model.task in TOKEN_TASKS:
        gold = targets(model.task, gold)[counted_positions(model.task, batch)]
    log_probability = None
    if model.task not in ("regression", "question_answering"):
        each = found.log_probabilities.gather(-1, gold[..., None])[..., 0]
        log_probability = (each if each.dim() == 1 else each.sum(1)).cpu()
    if model.task == "multi_label":
        choice = found.log_probabilities.argmax(-1)
    return LabelPredictions((found.row + rows).cpu(), choice.cpu(), gold.cpu(), log_probability, label_names(model))


def _join(parts: Sequence[LabelPredictions]) -> LabelPredictions:
    known = [part.gold_log_probability for part in parts if part.gold_log_probability is not None]
    return LabelPredictions(
        torch.cat([part.row for part in parts]),
        torch.cat([part.choice for part in parts]),
        torch.cat([part.gold for part in parts]),
        torch.cat(known) if known else None,
        parts[0].labels,
    )


def _tags(answers: LabelPredictions, examples: Sequence[Example] | None) -> tuple[tuple[list[str], list[str]], ...]:
    """Gold and predicted tags by sentence: of every word, if the examples have them, otherwise of the labelled
    tokens.
    """
    by_row: dict[int, list[tuple[str, str]]] = {}
    for row, *pair in zip(answers.row.tolist(), answers.gold.tolist(), answers.choice.tolist(), strict=True):
        gold, choice = (answers.labels[number] for number in pair)
        by_row.setdefault(row, []).append((gold, choice))
    if examples is None or not all("tags" in example for example in examples):
        return tuple(([gold for gold, _ in pairs], [choice for _, choice in pairs]) for pairs in by_row.values())
    found = []
    for row, example in enumerate(examples):
        predicted = ["O"] * len(example["tags"])
        for word, (_, choice) in zip(example["words"], by_row.get(row, []), strict=True):
            predicted[word] = choice
        found.append(([answers.labels[number] for number in example["tags"]], predicted))
    return tuple(found)
