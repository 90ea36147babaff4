"""The table of a pipeline: a row a model, a column a task, in text and in Markdown."""

from dataclasses import replace

import pytest
from scipy.stats import ttest_rel

from causalkd.reporting.pipeline_table import pipeline_lines, pipeline_markdown
from causalkd.verification.results.pipeline import PipelineResults, TaskScores
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


@pytest.mark.parametrize(("questions", "what"), [(10, "10 held-out questions in 16 windows"), (None, "16 windows of ")])
def test_questions_are_not_counted_by_their_windows(questions: int | None, what: str) -> None:
    means, spreads = {"answer_f1": 0.5, "exact_match": 0.4}, {"answer_f1": None}
    of_task = TaskScores("answer_f1", means, spreads, 1, 16, "squad", questions=questions)
    (line,) = (each for each in pipeline_markdown(results(kd={"squad": of_task})).splitlines() if "- squad" in each)
    assert line.startswith(f"- squad: answer_f1 on {what}")


def test_checkpoints_that_were_chosen_on_the_scored_rows_are_told() -> None:
    text = pipeline_markdown(FOUND)
    chosen = replace(FOUND.rows[1].tasks["rte"], chosen=True)
    row = replace(FOUND.rows[1], tasks={**FOUND.rows[1].tasks, "rte": chosen}, stage1_chosen=True)
    told = pipeline_markdown(replace(FOUND, rows=(FOUND.rows[0], row)))
    ends = [line.endswith("so these scores are somewhat too high") for line in told.splitlines() if line[:2] == "- "]
    assert ends == [True, False, True] and "too high" not in text


def _several_seeds(values: dict[str, tuple[float | None, ...]]) -> PipelineResults:
    names = [(student, seed) for student in values for seed in range(3)]
    made = results(**{f"{student}-{seed}": {"rte": scores(values[student][seed])} for student, seed in names})
    rows = [
        replace(row, run="mlm", student=student, seed=seed)
        for row, (student, seed) in zip(made.rows, names, strict=True)
    ]
    return replace(made, rows=tuple(rows))


def test_students_of_several_seeds_are_compared_in_pairs() -> None:
    values = {"kd": (0.50, 0.52, 0.51), "diito": (0.60, 0.63, 0.64)}
    lines = pipeline_markdown(_several_seeds(values)).splitlines()
    (line,) = (line for line in lines if line.startswith("| mlm | diito | kd | rte | 3 | "))
    cells = [cell.strip() for cell in line.split("|")]
    expected = ttest_rel(values["diito"], values["kd"])
    assert float(cells[6]) == pytest.approx(sum(values["diito"]) / 3 - sum(values["kd"]) / 3, abs=5e-4)
    assert float(cells[8]) == pytest.approx(expected.pvalue, abs=5e-4)
    assert "paired" not in pipeline_markdown(FOUND)


def test_a_difference_needs_a_score_of_every_seed_and_certainty_a_spread() -> None:
    lacking = pipeline_markdown(_several_seeds({"kd": (0.5, 0.52, None), "diito": (0.6, 0.63, 0.64)}))
    assert "| mlm | diito | kd | rte | 2 of 3 | – | – | – | – |" in lacking
    equal = pipeline_markdown(_several_seeds({"kd": (0.5, 0.5, 0.5), "diito": (0.625, 0.625, 0.625)}))
    assert "| mlm | diito | kd | rte | 3 | +0.125 | – | – | – |" in equal
