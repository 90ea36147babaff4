"""Task metrics that are a ratio of two sums over rows, so that rows can be resampled."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from seqeval.metrics.sequence_labeling import get_entities
from torch import Tensor

from causalkd.verification.measures.metrics import LabelPredictions, exponential, right_words
from causalkd.verification.measures.squad import answer_f1, answer_is_exact

Tally = Float[np.ndarray, " row"]


@dataclass(frozen=True)
class Ratio:
    """A metric that is one sum over rows divided by another."""

    above: Callable[[LabelPredictions], Tally]
    below: Callable[[LabelPredictions], Tally]
    is_share: bool = False
    """Whether the first sum counts a part of the same items as the second, for every model."""
    is_bounded: bool = True
    """Whether the first sum is at most the second."""
    finish: Callable[[float], float] = float


def _by_row(answers: LabelPredictions, values: Float[np.ndarray, " item"]) -> Tally:
    """The sum over each row's predictions."""
    _, index = np.unique(answers.row.numpy(), return_inverse=True)
    return np.bincount(index, weights=values).astype(float)


def _ones(answers: LabelPredictions) -> Tally:
    return _by_row(answers, np.ones(len(answers.row)))


def _counted(answers: LabelPredictions) -> Tally:
    """The number of predictions that accuracy counts; for tags, one per word."""
    return np.array([float(len(gold)) for gold, _ in answers.tags]) if answers.tags else _ones(answers)


def _right(answers: LabelPredictions) -> Tally:
    if answers.tags:
        return np.array([float(right_words(*pair).sum()) for pair in answers.tags])
    right = (answers.choice == answers.gold).numpy()
    return _by_row(answers, (right if right.ndim == 1 else right.all(1)).astype(float))


def _right_labels(answers: LabelPredictions) -> Tally:
    return _by_row(answers, (answers.choice == answers.gold).double().sum(1).numpy())


def _labels(answers: LabelPredictions) -> Tally:
    return _ones(answers) * answers.gold.shape[1]


def _both(answers: LabelPredictions) -> Tally:
    """Twice the right labels, of the positive class or of several per row; divided by `_either`, this is F1."""
    return 2 * (_present(answers, answers.gold) * _present(answers, answers.choice)).sum(1)


def _either(answers: LabelPredictions) -> Tally:
    return (_present(answers, answers.gold) + _present(answers, answers.choice)).sum(1)


def _present(answers: LabelPredictions, values: Tensor) -> Float[np.ndarray, " row label"]:
    """1 for the positive class, or for each of several labels that a row has."""
    return (values == (answers.positive if values.dim() == 1 else 1)).double().reshape(len(values), -1).numpy()


def _nats(answers: LabelPredictions) -> Tally:
    assert answers.gold_log_probability is not None
    return _by_row(answers, -answers.gold_log_probability.double().numpy())


def _of_answers(score: Callable[..., float | bool]) -> Callable[[LabelPredictions], Tally]:
    return lambda answers: np.array([float(score(each.text, each.accepted)) for each in answers.answered])


def _of_entities(count: Callable[[set, set], int]) -> Callable[[LabelPredictions], Tally]:
    """A number for each sentence, from its gold and its predicted entities."""
    return lambda answers: np.array(
        [float(count(set(get_entities(gold)), set(get_entities(found)))) for gold, found in answers.tags]
    )


RATIOS: Mapping[str, Ratio] = {
    "accuracy": Ratio(_right, _counted, is_share=True),
    "label_accuracy": Ratio(_right_labels, _labels, is_share=True),
    "f1": Ratio(_both, _either),
    "micro_f1": Ratio(_both, _either),
    "exact_match": Ratio(_of_answers(answer_is_exact), lambda answers: np.ones(len(answers.answered)), is_share=True),
    "answer_f1": Ratio(_of_answers(answer_f1), lambda answers: np.ones(len(answers.answered))),
    "entity_f1": Ratio(
        _of_entities(lambda gold, found: 2 * len(gold & found)),
        _of_entities(lambda gold, found: len(gold) + len(found)),
    ),
    "entity_precision": Ratio(
        _of_entities(lambda gold, found: len(gold & found)), _of_entities(lambda gold, found: len(found))
    ),
    "entity_recall": Ratio(
        _of_entities(lambda gold, found: len(gold & found)), _of_entities(lambda gold, found: len(gold))
    ),
    "perplexity": Ratio(_nats, _ones, is_bounded=False, finish=exponential),
}
"""The metrics that are a ratio of sums over rows; the others have one prediction per row."""
