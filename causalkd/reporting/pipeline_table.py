"""The one table of a pipeline, as text and as Markdown."""

from causalkd.reporting.markdown_text import plain
from causalkd.reporting.tables import columns, number
from causalkd.verification.results.pipeline import ModelScores, PipelineResults, TaskScores


def pipeline_lines(found: PipelineResults) -> list[str]:
    """The table as text."""
    return columns(_rows(found))


def pipeline_markdown(found: PipelineResults) -> str:
    """The table in Markdown, and below it what its columns are."""
    heads, *rows = _rows(found)
    lines = [f"# {plain(found.name)}", "", _line(heads), f"|{' --- |' * len(heads)}", *(_line(row) for row in rows), ""]
    first = found.rows[0].tasks
    lines += [
        f"- {plain(name)}: {plain(scores.metric)} on {scores.examples} held-out examples, mean"
        + (f" ± standard deviation over {scores.seeds} seeds" if scores.seeds > 1 else " of one seed")
        for name, scores in first.items()
    ]
    if found.stage1_metrics:
        kinds = ", ".join(sorted(set(found.stage1_metrics.values())))
        lines.append(f"- stage 1: {plain(kinds)} of the distilled student on the held-out text of its run")
    return "\n".join([*lines, ""])


def _rows(found: PipelineResults) -> list[tuple[str, ...]]:
    heads = ("model", "stage 1", *found.tasks, "average")
    return [heads, *(_row(row, found.tasks) for row in found.rows)]


def _row(row: ModelScores, tasks: tuple[str, ...]) -> tuple[str, ...]:
    return (row.name, number(row.stage1), *(_cell(row.tasks[name]) for name in tasks), number(row.average()))


def _cell(scores: TaskScores) -> str:
    spread = scores.spreads[scores.metric]
    return number(scores.mean) + (f" ± {spread:.3f}" if spread is not None else "")


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(plain(cell) for cell in cells)} |"
