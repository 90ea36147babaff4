"""Of own rows without labels, the predictions alone are written."""

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from causalkd.runs.evaluation.tasks import evaluate_task
from tests.runs.evaluation.test_tasks import checkpoint

UNLABELLED: dict[str, tuple[list[dict], dict]] = {
    "classification": (
        [{"text": f"the fox {n}", "label": ("no", "yes")[n % 2]} for n in range(8)],
        {0: "yes", 1: "no"},
    ),
    "regression": ([{"text": f"the fox {n}", "label": n / 2} for n in range(8)], {}),
    "multi_label": ([{"text": f"the fox {n}", "labels": ["a", "b"][n % 3 :]} for n in range(8)], {0: "a", 1: "b"}),
    "token_classification": (
        [{"words": ["the", "fox"], "tags": ["O", "B-x"]}, {"words": ["a", "dog", "ran"], "tags": ["O", "B-x", "O"]}]
        * 4,
        {0: "B-x", 1: "O"},
    ),
}


@pytest.mark.parametrize("kind", UNLABELLED)
def test_of_rows_without_labels_the_predictions_are_those_of_the_same_rows_with_them(tmp_path: Path, kind: Any) -> None:
    rows, labels = UNLABELLED[kind]
    (label,) = set(rows[0]) & {"label", "labels", "tags"}
    bare = [{key: value for key, value in row.items() if key != label} for row in rows]
    for split, some in (("train", rows), ("validation", rows), ("test", bare)):
        (tmp_path / f"data/{split}.jsonl").parent.mkdir(exist_ok=True)
        (tmp_path / f"data/{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    file, told = tmp_path / "mine.yaml", []
    file.write_text(f"{{path: {tmp_path}/data, kind: {kind}}}")
    folder = checkpoint(tmp_path / "model", kind, labels or None)
    with pytest.raises(ValueError, match=r"the split 'test', has no labels \(nothing in '.*'\), so nothing can be"):
        evaluate_task(folder, str(file), "test", out=tmp_path / "out")
    evaluate_task(folder, str(file), "validation", out=tmp_path / "out")
    (row,) = evaluate_task(folder, str(file), "test", out=tmp_path / "out", unlabelled=True, tell=told.append)
    assert row["metrics"] == {} and "mine/test  no labels, so nothing is measured; the predictions are in " in told[0]
    found = Dataset.from_parquet(str(tmp_path / "out/model-mine-test.parquet"))
    with_labels = Dataset.from_parquet(str(tmp_path / "out/model-mine-validation.parquet"))
    assert not any(name.startswith("label") for name in found.column_names)
    assert found["prediction"][:] == with_labels["prediction"][:]
