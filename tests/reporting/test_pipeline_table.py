"""The table of a pipeline: a row a model, a column a task, in text and in Markdown."""

from causalkd.reporting.pipeline_table import pipeline_lines, pipeline_markdown
from tests.verification.results.test_pipeline import results, scores

FOUND = results(
    kd={"rte": scores(0.5, spread=0.125), "cola|x": scores(0.25)},
    diito={"rte": scores(0.75, spread=0.5), "cola|x": scores(None)},
)


def test_text() -> None:
    lines = [line.split() for line in pipeline_lines(FOUND)]
    assert lines[0] == ["model", "stage", "1", "rte", "cola|x", "average"]
    assert lines[-2:] == [
        ["kd", "10.000", "0.500", "±", "0.125", "0.250", "0.375"], ["diito", "11.000", "0.750", "±", "0.500", "–", "–"]
    ]  # fmt: skip


def test_markdown_says_what_the_columns_are() -> None:
    lines = pipeline_markdown(FOUND).splitlines()
    assert lines[0] == "# both"
    assert lines[2] == r"| model | stage 1 | rte | cola\|x | average |"
    assert lines[3] == "| --- | --- | --- | --- | --- |"
    assert lines[4] == "| kd | 10.000 | 0.500 ± 0.125 | 0.250 | 0.375 |"
    assert "- rte: accuracy on 16 held-out examples, mean ± standard deviation over 2 seeds" in lines
    assert any(line.startswith("- stage 1: perplexity") for line in lines)
