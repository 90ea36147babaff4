"""The score of each row of a task, from the predictions that an evaluation has stored, for tests that pair rows."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet


def row_scores(predictions: Path) -> tuple[float, ...]:
    """One number a row, higher where the model is better; none where the predictions of the task are not stored by row.

    Of a classification whether the row is right, of a regression the negative squared error, of a language model the
    mean log-probability of the row's tokens.
    """
    table = parquet.read_table(predictions)
    if "row" not in table.column_names:
        return ()
    rows = table["row"].to_numpy()
    if "label_log_probability" in table.column_names:
        values = table["label_log_probability"].to_numpy()
    else:
        label, prediction = (np.asarray(table[name].to_pylist()) for name in ("label", "prediction"))
        numbers = label.dtype.kind == "f" or prediction.dtype.kind == "f"
        values = -((label - prediction) ** 2) if numbers else (label == prediction).astype(float)
    _, places = np.unique(rows, return_inverse=True)
    return tuple((np.bincount(places, values) / np.bincount(places)).tolist())
