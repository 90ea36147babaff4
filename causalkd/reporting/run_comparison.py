"""A comparison of several reports: one line per run and student."""

from collections.abc import Mapping
from dataclasses import replace
from html import escape

from causalkd.reporting.numbers import number
from causalkd.reporting.standing import standing, standings
from causalkd.reporting.summary import StudentSummary, summaries
from causalkd.reporting.tables import chosen_checkpoints, columns, spread
from causalkd.verification.results.interchange_rows import InterchangeRow
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.results.site_layers import site_layers
from causalkd.verification.statistics.permutation import FEW_PAIRS


class Comparison(str):
    """The text of a comparison; a notebook shows it in a fixed-width font."""

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self)}</pre>"


def compare(reports: Mapping[str, VerificationReport]) -> Comparison:
    """A table of every run's students, each the mean over its seeds ± their standard deviation, by the name of the run.

    Interchange accuracies are means over the sites that every run measured, and a task metric is shown if every run
    has it. Runs may differ in teacher, depth, alignment and pairs; lines before the table state the differences.

    Raises:
        ValueError: Fewer than two reports.
    """
    if len(reports) < 2:
        raise ValueError(f"{len(reports)} report given; name at least two runs to compare")
    shared = set.intersection(*(_sites(report) for report in reports.values()))
    common = {run: _at(report, shared) for run, report in reports.items()}
    metrics = list(dict.fromkeys(report.teacher.metric for report in reports.values()))
    metric = metrics if len(metrics) == 1 else []
    heads = ("run", "student", "seeds", *metric, "agree", "aligned", "best baseline", "above", "other", "above")
    rows = [_line(run, report, name, bool(metric)) for run, report in common.items() for name in report.names]
    chosen = [f"{run}: {line}" for run, report in reports.items() if metric for line in chosen_checkpoints(report)]
    lines = [
        *_warnings(reports),
        *_not_as_made(reports),
        *_left_out(reports, shared),
        *columns([heads, *rows]),
        *_too_few(common),
        *chosen,
    ]
    return Comparison("\n".join(lines) + "\n")


def _line(run: str, report: VerificationReport, name: str, with_metric: bool) -> tuple[str, ...]:
    found: list[StudentSummary] = [summary for summary in summaries(report) if summary.name == name]
    whole = found[-1]  # the mean, where there are several seeds
    aligned, other = standing(report, name, "aligned"), standing(report, name, "other")
    return (
        *(run, name, str(whole.seeds)),
        *([spread(whole.task_metric, whole.task_metric_sd)] if with_metric else []),
        *(number(whole.agreement), spread(aligned.accuracy, aligned.spread), number(aligned.baseline)),
        *(f"{aligned.above}/{aligned.sites}", spread(other.accuracy, other.spread)),
        f"{other.above}/{other.sites}",
    )


def _site(report: VerificationReport, row: InterchangeRow) -> tuple[object, ...]:
    """What tells the sites of a run apart; one that is aligned in one run alone is not the same site."""
    layers = site_layers(report.alignment, row)
    return (row.kind, row.pair, row.component, row.unit, row.head, row.student_head, *layers)


def _sites(report: VerificationReport) -> set[tuple[object, ...]]:
    return {_site(report, row) for row in report.interchange}


def _at(report: VerificationReport, sites: set[tuple[object, ...]]) -> VerificationReport:
    return replace(report, interchange=tuple(row for row in report.interchange if _site(report, row) in sites))


def _left_out(reports: Mapping[str, VerificationReport], shared: set[tuple[object, ...]]) -> list[str]:
    """The number of sites of each run that are not compared."""
    counts = {run: len(_sites(report) - shared) for run, report in reports.items()}
    named = [f"{count} of {run}" for run, count in counts.items() if count]
    if not named:
        return []
    where = "one site" if len(shared) == 1 else f"{len(shared)} sites"
    verb = "is" if sum(counts.values()) == 1 else "are"
    return [f"Compared at the {where} that every run measured; left out {verb} {', '.join(named)}."]


def _too_few(reports: Mapping[str, VerificationReport]) -> list[str]:
    """The number of sites that are in no mean because they have too few effective pairs."""
    counts = {
        f"{run} {name}": (sum(each.measured - each.sites for each in both), sum(each.measured for each in both))
        for run, report in reports.items()
        for name, both in standings(report).items()
    }
    named = [f"{few} of {measured} of {name}" for name, (few, measured) in counts.items() if few]
    if not named:
        return []
    return [f"Sites with fewer than {FEW_PAIRS} effective pairs are left out: {', '.join(named)}."]


def _pairs(report: VerificationReport) -> str:
    """The number of pairs that were measured at a site."""
    return " or ".join(f"{number:,}" for number in sorted({row.pairs for row in report.interchange}))


def _tolerance(report: VerificationReport) -> str:
    """The largest difference of two numbers that count as one prediction."""
    tolerance = report.environment.tolerance
    return "none" if tolerance is None else f"{tolerance:g}"


def _last_layers(report: VerificationReport) -> str:
    """The last layer of each model that was measured, which need not be its last one."""
    found = [site_layers(report.alignment, row) for row in report.interchange]
    teacher, student = (max((each[model][-1] for each in found), default="none") for model in (0, 1))
    return f"teacher {teacher}, student {student}"


def _held_out(report: VerificationReport) -> str:
    """Which rows were held out."""
    found = report.measured_on
    return "unknown ones" if found is None else f"{found.rows:,} of {found.origin} (sha256 {found.sha256[:12]})"


def _not_as_made(reports: Mapping[str, VerificationReport]) -> list[str]:
    """What of each run is not as it was made."""
    measured_on = {run: report.measured_on for run, report in reports.items()}
    return [
        f"{run} is not measured as it was made: {line}."
        for run, found in measured_on.items()
        for line in (() if found is None else found.changed)
    ]


def _warnings(reports: Mapping[str, VerificationReport]) -> list[str]:
    """The differences that prevent comparing the lines number by number, with the value of each run."""
    said = {
        "teachers": {run: f"{r.teacher.name}, {number(r.teacher.task_metric)}" for run, r in reports.items()},
        "tasks": {run: f"{r.teacher.task} scored by {r.teacher.metric}" for run, r in reports.items()},
        "last measured layers": {run: _last_layers(r) for run, r in reports.items()},
        "alignments": {run: r.alignment.name for run, r in reports.items()},
        "held-out rows": {run: _held_out(r) for run, r in reports.items()},
        "seeds of the held-out pairs": {run: str(r.environment.seed) for run, r in reports.items()},
        "numbers of held-out pairs": {run: _pairs(r) for run, r in reports.items()},
        "selections of pairs": {run: r.environment.pair_selection or "unknown" for run, r in reports.items()},
        "tolerances": {run: _tolerance(r) for run, r in reports.items()},
    }
    compared = {**said, "alignments": {run: r.alignment.to_yaml() for run, r in reports.items()}}
    compared["held-out rows"] = {run: r.measured_on.sha256 if r.measured_on else "" for run, r in reports.items()}
    return [
        f"The runs differ in their {what}: {'; '.join(f'{run} has {value}' for run, value in said[what].items())}."
        for what, values in compared.items()
        if len(set(values.values())) > 1
    ]
