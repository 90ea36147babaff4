"""Several reports side by side: a line a run and student."""

from collections.abc import Mapping

from causalkd.reporting.summary import StudentSummary, summaries
from causalkd.reporting.tables import columns, number
from causalkd.reporting.verdict import standing
from causalkd.verification.results.report import VerificationReport


def compare(reports: Mapping[str, VerificationReport]) -> str:
    """A table of every run's students, each the mean over its seeds, by the name of the run.

    Runs may differ in teacher, alignment and pairs; the lines before the table say in what they do.

    Raises:
        ValueError: Fewer than two reports.
    """
    if len(reports) < 2:
        raise ValueError(f"{len(reports)} report given; name at least two runs to compare")
    heads = ("run", "student", "seeds", "metric", "agree", "trained", "best control", "above", "untrained", "above")
    rows = [_line(run, report, name) for run, report in reports.items() for name in _names(report)]
    return "\n".join([*_warnings(reports), *columns([heads, *rows])]) + "\n"


def _names(report: VerificationReport) -> list[str]:
    return list(dict.fromkeys(student.name for student in report.students))


def _line(run: str, report: VerificationReport, name: str) -> tuple[str, ...]:
    found: list[StudentSummary] = [summary for summary in summaries(report) if summary.name == name]
    whole = found[-1]  # the mean, where there are several seeds
    trained, untrained = (standing(report, name, was) for was in (True, False))
    behaviour = (number(whole.task_metric), number(whole.agreement))
    return (
        *(run, name, str(whole.seeds), *behaviour),
        *(number(trained.accuracy), number(trained.baseline), f"{trained.above}/{trained.sites}"),
        *(number(untrained.accuracy), f"{untrained.above}/{untrained.sites}"),
    )


def _warnings(reports: Mapping[str, VerificationReport]) -> list[str]:
    """What keeps the lines from being compared number by number."""
    compared = {
        "teachers": {(r.teacher.name, r.teacher.task_metric) for r in reports.values()},
        "tasks": {(r.teacher.task, r.teacher.metric) for r in reports.values()},
        "alignments": {r.alignment.to_yaml() for r in reports.values()},
        "seeds of the held-out pairs": {r.environment.seed for r in reports.values()},
    }
    return [f"The runs differ in their {what}." for what, values in compared.items() if len(values) > 1]
