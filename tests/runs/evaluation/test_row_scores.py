from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from causalkd.runs.evaluation.row_scores import row_scores


@pytest.mark.parametrize(
    ("columns", "scores"),
    [
        ({"row": [0, 1], "label": ["yes", "no"], "prediction": ["yes", "yes"]}, (1.0, 0.0)),
        ({"row": [0, 1], "label": [1.0, 3.0], "prediction": [1.5, 3.0]}, (-0.25, 0.0)),
        (
            {
                "row": [4, 4, 9],
                "label": [1, 2, 3],
                "prediction": [1, 2, 3],
                "label_log_probability": [-1.0, -3.0, -0.5],
            },
            (-2.0, -0.5),
        ),
        ({"question": ["who?"], "prediction": ["me"]}, ()),
    ],
    ids=["classification", "regression", "language model", "answers"],
)
def test_a_row_has_one_score(tmp_path: Path, columns: dict[str, Any], scores: tuple[float, ...]) -> None:
    file = tmp_path / "predictions.parquet"
    Dataset.from_dict(columns).to_parquet(str(file))
    assert row_scores(file) == pytest.approx(scores)
