"""Rows of a pipeline's table: averages over tasks, and what is written is what is read."""

import math
from pathlib import Path

import pytest

from causalkd.verification.results.pipeline import ModelScores, PipelineResults, TaskScores


def scores(mean: float | None, metric: str = "accuracy", spread: float | None = None) -> TaskScores:
    """A model on a task."""
    return TaskScores(metric, {metric: mean, "beside": 0.25}, {metric: spread, "beside": None}, 2, 16, "finetune/x/y")


def results(**models: dict[str, TaskScores]) -> PipelineResults:
    """Rows of these models, students of the run `middle` with perplexities 10, 11, …"""
    rows = [
        ModelScores(name, tasks, "middle", name, 0, 10.0 + place) for place, (name, tasks) in enumerate(models.items())
    ]
    return PipelineResults("both", {"middle": "perplexity"}, tuple(rows))


def test_the_average_is_over_the_metric_that_judges_each_task() -> None:
    (row,) = results(kd={"rte": scores(0.5), "mrpc": scores(0.7, "f1")}).rows
    assert row.average() == pytest.approx(0.6)


@pytest.mark.parametrize("other", [scores(None), scores(12.0, "perplexity")])
def test_there_is_no_average_over_what_has_no_number_or_no_bound(other: TaskScores) -> None:
    (row,) = results(kd={"rte": scores(0.5), "text": other}).rows
    assert row.average() is None


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    found = results(kd={"rte": scores(0.5, spread=0.1)}, diito={"rte": scores(None)})
    found.write(tmp_path / "results.json")
    assert PipelineResults.read(tmp_path / "results.json") == found
    results(kd={"rte": scores(math.nan)}).write(tmp_path / "results.json")
    assert PipelineResults.read(tmp_path / "results.json").rows[0].tasks["rte"].mean is None


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": 0}', "[]"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match="cannot be read as the results of a pipeline"):
        PipelineResults.read(tmp_path / "results.json")
