"""Scores of a fine-tuning: means over seeds, and what is written is what is read."""

import json
import math
from pathlib import Path

import pytest

from causalkd.verification.results.finetuning import FinetuneResults, SeedScores


def results(*metrics: dict[str, float | None]) -> FinetuneResults:
    """Results with these scores, a seed each."""
    split = {"origin": "rows", "examples": 8, "predictions": 8, "truncated": 0, "lost": 0, "left_out": 0}
    scores = tuple(
        SeedScores(seed, f"model/seed{seed}", each, f"evaluations/{seed}.parquet", 5, 1.0, 2.0)
        for seed, each in enumerate(metrics)
    )
    return FinetuneResults("tuned", "minilm-l6", "mrpc", "f1", split, scores, {"device": "cpu"})


def test_means_and_standard_deviations_over_seeds() -> None:
    found = results({"f1": 0.5, "accuracy": None}, {"f1": 0.7, "accuracy": 0.6})
    assert found.metrics == ("f1", "accuracy")
    assert found.mean("f1") == pytest.approx(0.6) and found.spread("f1") == pytest.approx(math.sqrt(0.02))
    assert found.mean("accuracy") is None and found.spread("accuracy") is None
    assert results({"f1": 0.5}).spread("f1") is None


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    found = results({"f1": 0.5, "accuracy": None}, {"f1": 0.7, "accuracy": 0.6})
    found.write(tmp_path / "finetune.json")
    assert FinetuneResults.read(tmp_path / "finetune.json") == found


def test_what_is_no_number_is_written_as_none(tmp_path: Path) -> None:
    results({"perplexity": math.inf}).write(tmp_path / "finetune.json")
    assert json.loads((tmp_path / "finetune.json").read_text())["scores"][0]["metrics"] == {"perplexity": None}


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": 0}', "[]"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "finetune.json").write_text(text)
    with pytest.raises(ValueError, match="cannot be read as the results of a fine-tuning"):
        FinetuneResults.read(tmp_path / "finetune.json")
