"""The score of each row of a task, from the predictions that an evaluation has stored, for tests that pair rows."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from causalkd.verification.measures.squad import answer_f1, answer_is_exact


def row_scores(predictions: Path, metric: str) -> tuple[float, ...]:
    """What a metric is the mean of: one number a row, or a question, higher where the model is better.

    Where a row has several predictions, as of tokens, the metric is the mean over all of them. So a row's score is
    their sum divided by the mean number of a row: long rows weigh as they do in the metric, and the mean of the scores
    is the metric; of perplexity it is the logarithm of the metric, with the other sign. None for metrics that are no
    mean over rows, such as F1 and correlations, and for words of sentences.
    """
    table = parquet.read_table(predictions)
    found = _SCORES.get(metric)
    if found is None or not set(found[0]) <= set(table.column_names):
        return ()
    columns, score = found
    values = np.array([float(score(*each)) for each in _rows(table, columns)])
    if "row" not in table.column_names:
        return tuple(values.tolist())
    rows, places = np.unique(table["row"].to_numpy(), return_inverse=True)
    return tuple((np.bincount(places, values) * len(rows) / len(values)).tolist())


def _rows(table: pa.Table, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    return list(zip(*(table[name].to_pylist() for name in columns if name != "row"), strict=True))


_SCORES: Mapping[str, tuple[tuple[str, ...], Callable[..., float]]] = {
    "accuracy": (("row", "label", "prediction"), lambda label, prediction: label == prediction),
    "perplexity": (("row", "label_log_probability"), float),
    "exact_match": (("prediction", "accepted"), answer_is_exact),
    "answer_f1": (("prediction", "accepted"), answer_f1),
}
"""The columns that the score of each metric is computed from, and how."""
