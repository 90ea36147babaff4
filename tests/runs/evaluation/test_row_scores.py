from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from causalkd.runs.evaluation.row_scores import row_scores
from causalkd.verification.measures.metrics import METRICS

CLASSES = {
    **{"row": [0, 1, 2], "label": ["yes", "no", "no"], "prediction": ["yes", "yes", "no"]},
    "label_log_probability": [-0.1, -2.0, -0.3],
}
TOKENS = {
    **{"row": [4, 4, 9], "label": [1, 2, 3], "prediction": [1, 7, 3]},
    "label_log_probability": [-1.0, -3.0, -0.5],
}
SEVERAL = {"row": [0, 1], "label": [["a"], []], "prediction": [["a"], ["b"]], "label_log_probability": [-1.0, -2.0]}
NUMBERS = {"row": [0, 1], "label": [1.0, 3.0], "prediction": [1.5, 3.0]}
ANSWERS = {"question": [0, 1], "prediction": ["the big cat", "dog"], "accepted": [["big cat"], ["big dog"]]}
TAGS = {"label": [["O", "B-a"]], "prediction": [["O", "O"]]}


@pytest.mark.parametrize(
    ("columns", "scores"),
    [
        (CLASSES, {"accuracy": (1.0, 0.0, 1.0), "perplexity": (-0.1, -2.0, -0.3)}),
        (TOKENS, {"accuracy": (2 / 3, 2 / 3), "perplexity": (-4 / 1.5, -0.5 / 1.5)}),  # 2 of 3 tokens; e^1.5
        (SEVERAL, {"accuracy": (1.0, 0.0), "perplexity": (-1.0, -2.0)}),
        (NUMBERS, {"accuracy": (0.0, 1.0)}),
        (ANSWERS, {"exact_match": (1.0, 0.0), "answer_f1": (1.0, 2 / 3)}),
        (TAGS, {}),
    ],
    ids=["classes", "tokens", "several labels", "numbers", "answers", "tags"],
)
def test_a_row_has_the_score_that_the_metric_is_the_mean_of(
    tmp_path: Path, columns: dict[str, Any], scores: dict[str, tuple[float, ...]]
) -> None:
    file = tmp_path / "predictions.parquet"
    Dataset.from_dict(columns).to_parquet(str(file))
    assert {metric: row_scores(file, metric) for metric in METRICS} == {
        metric: pytest.approx(scores.get(metric, ())) for metric in METRICS
    }
