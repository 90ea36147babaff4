"""A report as a table: what each student scores at trained and untrained sites, beside what its controls score."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import stdev

from causalkd.verification.report import DifferenceRow, InterchangeRow, StudentResult, VerificationReport
from causalkd.verification.significance import FEW_PAIRS

CONTROL_TITLES = {
    "modal_class": "modal",
    "permuted_source": "permuted",
    "no_intervention": "no exchange",
    "random_student": "random",
}
"""Short names of the controls, in the order of the table."""


@dataclass(frozen=True)
class Levels:
    """Mean accuracies over some cells; each None where nothing counts. Unreachable cells count in none of them."""

    cells: int
    iia: float | None
    iia_effective: float | None
    low: float | None
    """Ends of the 95 % interval of `iia_effective`, where there is one cell."""
    high: float | None
    effective_pairs: float | None
    """Mean over the cells."""
    pairs: float | None
    controls: dict[str, float | None]
    """`iia_effective` of each control at the same cells."""
    iia_effective_sd: float | None = None
    """Standard deviation over the seeds; None for one seed."""


@dataclass(frozen=True)
class StudentSummary:
    """One student, or the mean over the seeds of one name."""

    name: str
    seed: int | None
    """None for a mean over seeds."""
    seeds: int
    task_metric: float | None
    agreement: float | None
    trained: Levels
    untrained: Levels
    task_metric_sd: float | None = None
    """Standard deviation over the seeds; None for one seed."""


def summaries(report: VerificationReport) -> tuple[StudentSummary, ...]:
    """A summary of every student, each name's followed by their mean where it has several seeds."""
    found: list[StudentSummary] = []
    for name in dict.fromkeys(student.name for student in report.students):
        singles = [_summary(report, student) for student in report.students if student.name == name]
        found += singles
        if len(singles) > 1:
            found.append(_mean_summary(singles))
    return tuple(found)


def rows_of(report: VerificationReport, name: str, seed: int | None) -> list[InterchangeRow]:
    """The rows of one student; a row that says no seed belongs to every student of its name."""
    return [row for row in report.interchange if row.student == name and row.seed in (None, seed)]


def as_text(report: VerificationReport) -> str:
    """One screen of text."""
    teacher, found = report.teacher, summaries(report)
    lines = [f"Teacher {teacher.name}: {teacher.metric} {_number(teacher.task_metric)} ({teacher.task})", ""]
    trained = [row for row in report.interchange if row.trained and row.control == "none" and row.reachable]
    if trained:
        lines.append(f"Trained sites ({_sites(trained)}), held-out pairs")
    behaviour = [
        (teacher.metric, "agree"),
        *((_spread(s.task_metric, s.task_metric_sd), _number(s.agreement)) for s in found),
    ]
    levels = _level_table([(summary, summary.trained) for summary in found])
    lines += _table([(*row[:2], *extra, *row[2:]) for row, extra in zip(levels, behaviour, strict=True)])
    lines += ["", "Untrained sites (mean over cells; no objective saw them)"]
    several = {summary.name for summary in found if summary.seed is None}
    lines += _table(_level_table([(s, s.untrained) for s in found if s.seed is None or s.name not in several]))
    lost = [row for row in report.interchange if not row.reachable]
    unreached = {(row.pair, row.component, row.teacher_layer, row.student_layer) for row in lost}
    if unreached:
        lines.append(f"{len(unreached)} cells cannot reach the output and count in no mean.")
    warning = few_pairs(report)
    if warning:
        lines += ["", warning]
    compared = [row for row in report.differences if row.reference != row.student and row.measure == "iia_effective"]
    if compared:
        lines += ["", "Differences of effective IIA at trained sites, 95 % interval and p of a paired test"]
        lines += [_difference(row) for row in compared]
    lines += [
        "",
        "effective: on the n pairs whose exchange changed the teacher's prediction, as are the controls beside it:",
    ]
    lines.append("best constant guess, another row's source, no exchange at all, an untrained student.")
    return "\n".join(lines) + "\n"


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that are not None."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def sd(values: Iterable[float | None]) -> float | None:
    """The standard deviation (n - 1) of those that are not None; None for fewer than two."""
    known = [value for value in values if value is not None]
    return stdev(known) if len(known) > 1 else None


def few_pairs(report: VerificationReport) -> str | None:
    """A warning where trained sites have so few effective pairs that their accuracies say little; None where not."""
    sites = {
        (row.pair, row.component, row.teacher_layer): row.effective_pairs
        for row in report.interchange
        if row.trained and row.reachable and row.control == "none"
    }
    few = sorted(pairs for pairs in sites.values() if pairs < FEW_PAIRS)
    if not few:
        return None
    counted = f"{few[0]}" if few[0] == few[-1] else f"{few[0]} to {few[-1]}"
    return (
        f"Warning: at {len(few)} of {len(sites)} trained teacher sites only {counted} pairs are effective (fewer than "
        f"{FEW_PAIRS}), so accuracies there say little. Verify on more pairs "
        "(verification.pairs), or on pairs that differ in what the site carries."
    )


def _summary(report: VerificationReport, student: StudentResult) -> StudentSummary:
    rows = [row for row in rows_of(report, student.name, student.seed) if row.reachable]
    trained, untrained = (_levels([row for row in rows if row.trained == was]) for was in (True, False))
    return StudentSummary(student.name, student.seed, 1, student.task_metric, student.agreement, trained, untrained)


def _levels(rows: list[InterchangeRow]) -> Levels:
    real = [row for row in rows if row.control == "none"]
    single = real[0] if len(real) == 1 else None
    return Levels(
        cells=len(real),
        iia=mean(row.iia for row in real),
        iia_effective=mean(row.iia_effective for row in real),
        low=single and single.iia_effective_low,
        high=single and single.iia_effective_high,
        effective_pairs=mean(row.effective_pairs for row in real),
        pairs=mean(row.pairs for row in real),
        controls={name: mean(row.iia_effective for row in rows if row.control == name) for name in CONTROL_TITLES},
    )


def _mean_summary(singles: list[StudentSummary]) -> StudentSummary:
    return StudentSummary(
        singles[0].name,
        None,
        len(singles),
        mean(single.task_metric for single in singles),
        mean(single.agreement for single in singles),
        _mean_levels([single.trained for single in singles]),
        _mean_levels([single.untrained for single in singles]),
        sd(single.task_metric for single in singles),
    )


def _mean_levels(levels: list[Levels]) -> Levels:
    return Levels(
        cells=levels[0].cells,
        iia=mean(level.iia for level in levels),
        iia_effective=mean(level.iia_effective for level in levels),
        low=None,
        high=None,
        effective_pairs=mean(level.effective_pairs for level in levels),
        pairs=mean(level.pairs for level in levels),
        controls={name: mean(level.controls[name] for level in levels) for name in CONTROL_TITLES},
        iia_effective_sd=sd(level.iia_effective for level in levels),
    )


def _level_table(found: list[tuple[StudentSummary, Levels]]) -> list[tuple[str, ...]]:
    heads = ("student", "seed", "IIA", "effective", "95 %", "n", *CONTROL_TITLES.values())
    return [heads, *(_level_cells(summary, levels) for summary, levels in found)]


def _level_cells(summary: StudentSummary, levels: Levels) -> tuple[str, ...]:
    interval = "" if levels.low is None or levels.high is None else f"{levels.low:.3f}–{levels.high:.3f}"
    interval = interval if levels.iia_effective_sd is None else f"± {levels.iia_effective_sd:.3f} sd"
    counted = "" if levels.effective_pairs is None else f"{levels.effective_pairs:.0f}/{levels.pairs:.0f}"
    seed = f"all {summary.seeds}" if summary.seed is None else str(summary.seed)
    accuracies = (_number(levels.iia), _number(levels.iia_effective), interval, counted)
    return (summary.name, seed, *accuracies, *(_number(levels.controls[name]) for name in CONTROL_TITLES))


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *rest = (
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *rest]).rstrip())
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _sites(rows: list[InterchangeRow]) -> str:
    places = dict.fromkeys(f"{r.pair}: teacher {r.teacher_layer} → student {r.student_layer}" for r in rows)
    return ", ".join(places)


def _difference(row: DifferenceRow) -> str:
    return (
        f"  {row.student} − {row.reference}, seed {row.seed}, {row.pair}: {row.difference:+.3f} "
        f"[{row.low:+.3f}, {row.high:+.3f}] on {row.pairs} effective pairs{_chance(row)}"
    )


def _chance(row: DifferenceRow) -> str:
    return "" if row.p_value is None else ", p < 0.001" if row.p_value < 0.001 else f", p = {row.p_value:.3f}"


def _spread(value: float | None, spread: float | None) -> str:
    return _number(value) if spread is None else f"{_number(value)} ± {spread:.3f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
