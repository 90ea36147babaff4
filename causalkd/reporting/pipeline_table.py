"""The table of a pipeline, as text and as Markdown."""

from causalkd.reporting.markdown_text import plain
from causalkd.reporting.tables import columns, number
from causalkd.verification.results.pipeline import ModelScores, PipelineResults, TaskScores
from causalkd.verification.statistics.paired_difference import paired_difference

_MEANING = (
    "Each student is compared with the first of its run. *p* is that of the paired t-test, not adjusted for the number "
    "of tasks; *visible* is the smallest true difference that as many seeds, spread as these are, show with a "
    "probability of 80 %."
)

_CHOSEN = "; checkpoints were chosen on the same rows, so these scores are somewhat too high"


def pipeline_lines(found: PipelineResults) -> list[str]:
    """The table as text."""
    return columns(_rows(found))


def pipeline_markdown(found: PipelineResults) -> str:
    """The table in Markdown, and below it an explanation of its columns."""
    heads, *rows = _rows(found)
    lines = [f"# {plain(found.name)}", "", _line(heads), f"|{' --- |' * len(heads)}", *(_line(row) for row in rows), ""]
    for name, scores in found.rows[0].tasks.items():
        over = f" ± standard deviation over {scores.seeds} seeds" if scores.seeds > 1 else " of one seed"
        chosen = _CHOSEN if any(row.tasks[name].chosen for row in found.rows) else ""
        lines.append(f"- {plain(name)}: {plain(scores.metric)} on {_held_out(scores)}, mean{over}{chosen}")
    if found.stage1_metrics:
        kinds = ", ".join(sorted(set(found.stage1_metrics.values())))
        chosen = _CHOSEN if any(row.stage1_chosen for row in found.rows) else ""
        lines.append(f"- stage 1: {plain(kinds)} of the distilled student on the held-out text of its run{chosen}")
    differences = _differences(found)
    if differences:
        heads = ("run", "student", "reference", "task", "seeds", "difference", "95 %", "p", "visible")
        lines += ["", "## Differences, paired over the seeds of stage 1", "", _MEANING, ""]
        lines += [_line(heads), f"|{' --- |' * len(heads)}", *(_line(row) for row in differences)]
    return "\n".join([*lines, ""])


def _held_out(scores: TaskScores) -> str:
    """The number of held-out examples of a task; a question counts once, however many windows its context has."""
    if scores.questions is not None:
        return f"{scores.questions} held-out questions in {scores.examples} windows"
    windows = "exact_match" in scores.means  # a file of an earlier version does not hold the number of questions
    return f"{scores.examples} " + ("windows of held-out questions" if windows else "held-out examples")


def _differences(found: PipelineResults) -> list[tuple[str, ...]]:
    """Every student of a run of several seeds compared with the run's first, on each task and in stage 1."""
    scores: dict[tuple[str, str], dict[int, ModelScores]] = {}
    for row in found.rows:
        if row.run is not None and row.student is not None and row.seed is not None:
            scores.setdefault((row.run, row.student), {})[row.seed] = row
    firsts = {run: student for run, student in reversed(scores)}
    lines = []
    for (run, student), rows in scores.items():
        others = scores[run, firsts[run]]
        for task in ("stage 1", *found.tasks) if student != firsts[run] else ():
            pairs = [(_score(rows[seed], task), _score(others[seed], task)) for seed in rows if seed in others]
            known = [(one, other) for one, other in pairs if one is not None and other is not None]
            paired = paired_difference([one for one, _ in known], [other for _, other in known])
            if paired is not None and paired.seeds > 1:
                interval = f"{number(paired.low)} to {number(paired.high)}"
                ends = (f"{paired.mean:+.3f}", interval, number(paired.p_value), number(paired.visible))
                lines.append((run, student, firsts[run], task, str(paired.seeds), *ends))
    return lines


def _score(row: ModelScores, task: str) -> float | None:
    return row.stage1 if task == "stage 1" else row.tasks[task].mean


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
