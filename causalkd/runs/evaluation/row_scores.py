"""The score of each row of a task, from the stored predictions of an evaluation, for tests that pair rows."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from causalkd.verification.measures.squad import answer_f1, answer_is_exact


def row_scores(predictions: Path, metric: str) -> tuple[float, ...]:
    """The scores whose mean is a metric: one number per row or question, higher if the model is better.

    If a row has several predictions, such as one per token, the metric is the mean over all of them. A row's score is
    then their sum divided by the mean number per row: long rows weigh as they do in the metric, and the mean of the
    scores is the metric; for perplexity it is the negative logarithm of the metric. Empty for metrics that are not a
    mean over rows, such as F1 and correlations, and for tags of words.
    """
    table = parquet.read_table(predictions)
    found = _SCORES.get(metric)
    if found is None or not set(found[0]) <= set(table.column_names):
        return ()
    columns, score = found
    values = np.array([float(score(*each)) for each in _rows(table, columns)])
    if "row" not in table.column_names:
        return tuple(values.tolist())
    rows, indices = np.unique(table["row"].to_numpy(), return_inverse=True)
    return tuple((np.bincount(indices, values) * len(rows) / len(values)).tolist())


def _rows(table: pa.Table, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    return list(zip(*(table[name].to_pylist() for name in columns if name != "row"), strict=True))


_SCORES: Mapping[str, tuple[tuple[str, ...], Callable[..., float]]] = {
    "accuracy": (("row", "label", "prediction"), lambda label, prediction: label == prediction),
    "perplexity": (("row", "label_log_probability"), float),
    "exact_match": (("prediction", "accepted"), answer_is_exact),
    "answer_f1": (("prediction", "accepted"), answer_f1),
}
"""The columns that the score of each metric is computed from, and the function that computes it."""
