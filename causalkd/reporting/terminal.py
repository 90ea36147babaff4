"""A report as one screen of a terminal: the headline, its limits, and the tables that it is made from."""

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from causalkd.reporting.counted import rows_called
from causalkd.reporting.numbers import number, signed
from causalkd.reporting.short_names import short_names
from causalkd.reporting.standing import site_count
from causalkd.reporting.student_comparison import reference_sentences
from causalkd.reporting.summary import SiteScores, StudentSummary, summaries
from causalkd.reporting.tables import (
    chance,
    chosen_checkpoints,
    differences_between,
    left_out,
    no_numbers,
    task_certainty,
    teacher_line,
    touched,
    unreachable,
)
from causalkd.reporting.verdict import verdict
from causalkd.verification.results.baselines import BASELINES, BaselineName
from causalkd.verification.results.report import VerificationReport

WIDTH = 100
"""The width of the report's sentences in columns, and of its tables unless their numbers need more."""
_WIDEST = 1000
"""More columns than a table needs, so that none is cut."""
_ROWS = 8
"""Students and seeds that have a row each; of more, only the means over seeds are shown."""
_FEW = 4
"""Rows of the tables about the task metric, including the heads; longer ones are in report.md."""
_DIFFERENCES = 2
"""Lines about differences in the task metric."""
_COMPARISONS = 4
MEANING = (
    "On n pairs the intervention changes a prediction of the teacher; effective IIA is the share of these that the "
    "student makes too. The best baseline is the level without computing as the teacher does."
)


def as_text(report: VerificationReport) -> str:
    """The report as plain text of at most 100 columns, or as many as its numbers need; for two students it has at most
    40 lines.
    """
    file = io.StringIO()
    console = Console(
        file=file, width=_WIDEST, color_system=None, force_terminal=False, force_jupyter=False, highlight=False
    )

    def say(sentence: str) -> None:
        console.print(Text(sentence), width=WIDTH)

    for sentence in verdict(report):
        say(sentence)
    console.print()
    say(teacher_line(report))
    shown = _shown(summaries(report))
    for title, table in _tables(report, shown):
        say(title)
        console.print(table)
    for line in (
        *_metric_differences(report),
        *chosen_checkpoints(report),
        *unreachable(report),
        *touched(report),
        *left_out(report),
        *no_numbers(report),
        *_comparisons(report),
        MEANING,
    ):
        say(line)
    lines = (line.rstrip() for line in file.getvalue().splitlines())
    return "\n".join(lines) + "\n"


def _shown(found: tuple[StudentSummary, ...]) -> list[StudentSummary]:
    """Every seed, or only the means if the rows would be too many for one screen."""
    several = {summary.name for summary in found if summary.seed is None}
    few = len(found) <= _ROWS
    return [summary for summary in found if few or summary.seed is None or summary.name not in several]


def _tables(report: VerificationReport, shown: list[StudentSummary]) -> list[tuple[str, Table]]:
    """The tables with their titles, which may be longer than a table is wide."""
    where = "at aligned and at other sites, each" if site_count(report, "other") else "at aligned sites"
    heading = f"Students: effective IIA {where} beside its best baseline"
    found = [(heading, _students(report, shown))]
    names = [name for name in BASELINES if any(each.aligned.baselines[name] is not None for each in shown)]
    if names:
        found.append(("Baselines at aligned sites, effective IIA", _baselines(shown, names)))
    scores = task_certainty(report)[:1] if report.task_scores else []
    return found + [(each.title, _plain_table(each.rows)) for each in scores if len(each.rows) <= _FEW]


def _students(report: VerificationReport, shown: list[StudentSummary]) -> Table:
    metric = "\n".join(report.teacher.metric.split("_"))
    table, names = _table(), short_names(each.name for each in shown)
    other = ("other", "baseline") if site_count(report, "other") else ()
    _columns(table, "student", "seed", metric, "agree", "aligned", "95% or sd", "n", "baseline", *other)
    for each in shown:
        seed = f"all {each.seeds}" if each.seed is None else str(each.seed)
        pairs = "–" if each.aligned.effective_pairs is None else f"{each.aligned.effective_pairs:.0f}"
        table.add_row(
            Text(names[each.name]), seed, number(each.task_metric), number(each.agreement),
            number(each.aligned.iia_effective), _certainty(each.aligned), pairs, number(each.aligned.best_baseline),
            *((number(each.other.iia_effective), number(each.other.best_baseline)) if other else ()),
        )  # fmt: skip
    return table


def _baselines(shown: list[StudentSummary], names: Sequence[BaselineName]) -> Table:
    """The baselines at aligned sites."""
    several = {each.name for each in shown if each.seed is None}
    means = [each for each in shown if each.seed is None or each.name not in several]
    table, short = _table(), short_names(each.name for each in means)
    _columns(table, "student", *("\n".join(BASELINES[name].title.split()) for name in names))
    for each in means:
        table.add_row(Text(short[each.name]), *(number(each.aligned.baselines[name]) for name in names))
    return table


def _plain_table(rows: Sequence[Sequence[str]]) -> Table:
    table = _table()
    _columns(table, *rows[0])
    for name, *cells in rows[1:]:
        table.add_row(Text(name), *cells)
    return table


def _metric_differences(report: VerificationReport) -> list[str]:
    """The differences of students in the task metric, if they are few."""
    rows, metric = report.task_differences, report.teacher.metric.replace("_", " ")
    lines = [
        f"{row.student} − {row.reference}, seed {row.seed}, {metric}: {signed(row.difference)} "
        f"[{signed(row.low)}, {signed(row.high)}] on {row.rows} {rows_called(report)}{chance(row.p_value)}"
        for row in rows
    ]
    return lines if len(lines) <= _DIFFERENCES else []


def _comparisons(report: VerificationReport) -> list[str]:
    """The differences between students, seed by seed if they are few."""
    rows = differences_between(report)
    return [*reference_sentences(report), *(rows if len(rows) <= _COMPARISONS else [])]


def _certainty(levels: SiteScores) -> str:
    if levels.iia_effective_sd is not None:
        return f"± {levels.iia_effective_sd:.3f}"
    return "–" if levels.low is None or levels.high is None else f"{levels.low:.3f}–{levels.high:.3f}"


def _table() -> Table:
    return Table(header_style="", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)


def _columns(table: Table, first: str, *heads: str) -> None:
    table.add_column(first, no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
