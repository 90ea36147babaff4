"""The tables of a report as rows of text, and the lines around them."""

from collections.abc import Sequence
from typing import NamedTuple

from causalkd.recipe.objectives import OBJECTIVES
from causalkd.reporting.counted import rows_called
from causalkd.reporting.numbers import number, probability, signed
from causalkd.reporting.short_names import names_or_number
from causalkd.reporting.standing import alike, site_count, site_of
from causalkd.reporting.summary import SiteScores, StudentSummary, summaries
from causalkd.verification.results.baselines import BASELINES, BaselineName
from causalkd.verification.results.interchange_rows import DifferenceRow
from causalkd.verification.results.report import StudentResult, VerificationReport
from causalkd.verification.results.site_layers import site_layers, written
from causalkd.verification.statistics.permutation import FEW_PAIRS

_NAMED = 3  # measurements without a number
DIFFERENCES = "Differences of effective IIA at aligned sites, 95 % interval and p of a paired test"
MEANING = (
    "effective: of the predictions that the intervention changed in the teacher, on n pairs; specificity: share of the "
    "others that do not change in the student either. Baselines: the best constant guess, another row's "
    "source, no intervention, an untrained student, a random direction of the same norm, of which the highest is the "
    "best baseline; then the intervention at another layer or pair, and the teacher instead of the student."
)


class Table(NamedTuple):
    """A title and rows, the first of which holds the heads."""

    title: str
    rows: list[tuple[str, ...]]


def teacher_line(report: VerificationReport) -> str:
    """A line with the teacher and its metrics of the task."""
    teacher = report.teacher
    further = "".join(f", {name} {number(value)}" for name, value in teacher.metrics.items())
    return f"Teacher {teacher.name}: {teacher.metric} {number(teacher.task_metric)}{further} ({teacher.task})"


def held_out(report: VerificationReport) -> list[str]:
    """A line about the rows that all was measured on, where they are known."""
    found = report.measured_on
    return [] if found is None else [f"Held out: {found.rows:,} rows of {found.origin} (sha256 {found.sha256[:12]})."]


def tables(report: VerificationReport) -> list[Table]:
    """The tables of the students at aligned sites, at other sites, and of their baselines."""
    found = summaries(report)
    behaviour = [
        (report.teacher.metric, "agree"),
        *((spread(s.task_metric, s.task_metric_sd), number(s.agreement)) for s in found),
    ]
    levels = _level_table([(summary, summary.aligned) for summary in found])
    rows = [(*row[:2], *extra, *row[2:]) for row, extra in zip(levels, behaviour, strict=True)]
    several = {summary.name for summary in found if summary.seed is None}
    means = [summary for summary in found if summary.seed is None or summary.name not in several]
    return [
        Table(_students_title(report), rows),
        *_further_metrics(report),
        *task_certainty(report),
        *_other_sites(report, means),
        Table("Baselines at aligned sites, effective IIA", _baseline_table(means)),
    ]


def _students_title(report: VerificationReport) -> str:
    """The title of the table of the students, with the aligned sites that reach the output."""
    aligned = [row for row in report.interchange if row.aligned and row.baseline == "measured" and row.reachable]
    layers = {row.pair: map(written, site_layers(report.alignment, row)) for row in aligned}
    places = [f"{pair}: teacher {teacher} → student {student}" for pair, (teacher, student) in layers.items()]
    return (
        f"Aligned site{'s' if len(places) > 1 else ''} ({', '.join(places)}), held-out pairs" if places else "Students"
    )


def _other_sites(report: VerificationReport, means: list[StudentSummary]) -> list[Table]:
    """The students at the other sites, if there are some."""
    count = site_count(report, "other")
    title = "The one other site (" if count == 1 else "Other sites (mean over sites; "
    rows = _level_table([(summary, summary.other) for summary in means])
    return [Table(f"{title}no student was trained there with interventions)", rows)] if count else []


def _further_metrics(report: VerificationReport) -> list[Table]:
    """The metrics in addition to the task's own, if there are some."""
    names = list(report.teacher.metrics)
    rows = [(s.name, str(s.seed), *(number(s.metrics.get(name)) for name in names)) for s in report.students]
    return [Table("Further metrics of the task", [("student", "seed", *names), *rows])] if names else []


def task_certainty(report: VerificationReport) -> list[Table]:
    """The task metric with its interval, and the differences of students in it."""
    metric, unit = report.teacher.metric, rows_called(report)
    scores = [("model", "seed", metric, "95 %", unit)]
    for row in report.task_scores:
        seed = "–" if row.seed is None else str(row.seed)
        rows = "–" if row.rows is None else str(row.rows)
        scores.append((row.model, seed, number(row.value), f"{row.low:.3f}–{row.high:.3f}", rows))
    compared = [("students", "seed", "difference", "95 %", "p", unit)]
    for row in report.task_differences:
        names, interval = f"{row.student} − {row.reference}", f"{signed(row.low)} to {signed(row.high)}"
        compared.append(
            (names, str(row.seed), signed(row.difference), interval, probability(row.p_value), str(row.rows))
        )
    found = [Table(f"Task metric with its 95 % interval over held-out {unit}", scores)] if report.task_scores else []
    return found + ([Table("Paired differences of the task metric", compared)] if report.task_differences else [])


def unreachable(report: VerificationReport) -> list[str]:
    """A line about the unreachable sites, if there are some."""
    lost = {site_of(row) for row in report.interchange if not row.reachable}
    sites, count = ("1 site", "counts") if len(lost) == 1 else (f"{len(lost)} sites", "count")
    return [f"{sites} cannot reach the output and {count} in no mean."] if lost else []


def touched(report: VerificationReport) -> list[str]:
    """A line about the sites that are neither aligned nor other ones, if some of them reach the output."""
    found = {site_of(row) for row in report.interchange if row.kind == "touched" and row.reachable}
    share, count = ("1 site shares", "counts") if len(found) == 1 else (f"{len(found)} sites share", "count")
    return [f"{share} a part with a declared pair in both models (touched) and {count} in no mean."] if found else []


def site_means(report: VerificationReport) -> list[str]:
    """A line on how means weigh sites, if several sites of a kind have different numbers of pairs."""
    pairs = _pairs_in_means(report)
    clause = alike((min(pairs), max(pairs))) if pairs else ""
    return [f"A mean over sites is one over all that have effective pairs{clause}."] if clause else []


def left_out(report: VerificationReport) -> list[str]:
    """A line that the sentences are about fewer sites than the tables, if they are."""
    few = any(count < FEW_PAIRS for count in _pairs_in_means(report))
    sites = f"sites with fewer than {FEW_PAIRS} effective pairs"
    return [f"The summary sentences leave out {sites}; the means in the tables include them."] if few else []


def _pairs_in_means(report: VerificationReport) -> list[int]:
    """The numbers of effective pairs of the sites, for kinds that have several sites."""
    found = []
    for kind in ("aligned", "other"):
        rows = [
            row
            for row in report.interchange
            if row.kind == kind and row.baseline == "measured" and row.reachable and row.effective_pairs
        ]
        found += [row.effective_pairs for row in rows] if len(set(map(site_of, rows))) > 1 else []
    return found


def no_numbers(report: VerificationReport) -> list[str]:
    """A line about the measurements without a finite number, if there are some."""
    found = report.not_finite
    more = f"; and {len(found) - _NAMED} more, which report.json lists" if len(found) > _NAMED else ""
    return [f"Measurements without a finite number: {'; '.join(found[:_NAMED])}{more}."] if found else []


def chosen_checkpoints(report: VerificationReport, students: Sequence[StudentResult] | None = None) -> list[str]:
    """A line that checkpoints were chosen on the held-out rows of the task scores, if they were.

    Args:
        report: The report of the run.
        students: The students that the line is about besides the teacher; None for all.
    """
    models = [("the teacher", report.teacher.chosen_by)]
    models += [(each.name, each.chosen_by) for each in (report.students if students is None else students)]
    chosen = {name: metric.replace("_", " ") for name, metric in models if metric is not None}
    if not chosen:
        return []
    names = names_or_number(list(chosen), "models")
    which = f"The checkpoint of {names} was" if len(chosen) == 1 else f"Checkpoints of {names} were"
    metrics = " or ".join(dict.fromkeys(chosen.values()))
    return [
        f"{which} chosen by {metrics} on the same held-out {rows_called(report)}, so these task scores are somewhat "
        "too high; their intervals and p-values do not account for the choice."
    ]


def learning_maps(students: Sequence[StudentResult]) -> list[str]:
    """A line about students that were trained on attribution maps, if there are some."""
    names = trained_on_maps(students)
    if not names:
        return []
    return [
        f"Students with {' or '.join(names)} were trained with eager attention, which has a second derivative. "
        "Block-forwards leave out the backward passes that compute attribution maps and that train on them: compare "
        "these students by their seconds."
    ]


def trained_on_maps(students: Sequence[StudentResult]) -> list[str]:
    """Those objectives of the students that train on attribution maps."""
    names = dict.fromkeys(name for student in students for name in student.objectives)
    return [name for name in names if name in OBJECTIVES and OBJECTIVES[name].trains_maps]


def differences_between(report: VerificationReport) -> list[str]:
    """The differences between two students, one per line."""
    rows = [row for row in report.differences if row.reference != row.student and row.measure == "iia_effective"]
    return [_difference(row) for row in rows]


def _level_table(found: list[tuple[StudentSummary, SiteScores]]) -> list[tuple[str, ...]]:
    heads = ("student", "seed", "IIA", "effective", "95 %", "n", "best baseline", "specificity")
    return [heads, *(_level_cells(summary, levels) for summary, levels in found)]


def _level_cells(summary: StudentSummary, levels: SiteScores) -> tuple[str, ...]:
    interval = "" if levels.low is None or levels.high is None else f"{levels.low:.3f}–{levels.high:.3f}"
    interval = interval if levels.iia_effective_sd is None else f"± {levels.iia_effective_sd:.3f} sd"
    counted = "" if levels.effective_pairs is None else f"{levels.effective_pairs:.0f}/{levels.pairs:.0f}"
    seed = f"all {summary.seeds}" if summary.seed is None else str(summary.seed)
    accuracies = (number(levels.iia), number(levels.iia_effective), interval, counted)
    return (summary.name, seed, *accuracies, number(levels.best_baseline), number(levels.specificity))


def _baseline_table(found: list[StudentSummary]) -> list[tuple[str, ...]]:
    """The baselines at aligned sites, without those that were measured for no student."""
    shown: list[BaselineName] = [
        name for name in BASELINES if any(s.aligned.baselines[name] is not None for s in found)
    ]
    values = [(s.name, *(number(s.aligned.baselines[name]) for name in shown)) for s in found]
    return [("student", *(BASELINES[name].title for name in shown)), *values]


def columns(rows: list[tuple[str, ...]]) -> list[str]:
    """The rows of a table as lines, the heads first; all columns but the first are right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *rest = (
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *rest]).rstrip())
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _difference(row: DifferenceRow) -> str:
    return (
        f"{row.student} − {row.reference}, seed {row.seed}, {row.pair}: {signed(row.difference)} "
        f"[{signed(row.low)}, {signed(row.high)}] on {row.pairs} effective pairs{chance(row.p_value)}"
    )


def chance(p_value: float | None) -> str:
    """A p-value for the end of a line; empty if there is none."""
    return "" if p_value is None else ", p < 0.001" if p_value < 0.001 else f", p = {p_value:.3f}"


def spread(value: float | None, deviation: float | None) -> str:
    """A number with its standard deviation, if there is one."""
    return number(value) if deviation is None else f"{number(value)} ± {deviation:.3f}"
