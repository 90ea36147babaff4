"""The summary of a report: the scores of each student at aligned and other sites, with those of its baselines."""

from dataclasses import dataclass
from typing import Any

from causalkd.verification.results.baselines import BASELINES, explaining
from causalkd.verification.results.interchange_rows import InterchangeRow
from causalkd.verification.results.report import StudentResult, VerificationReport
from causalkd.verification.statistics.aggregate import mean, mean_over_seeds, sd_over_seeds
from causalkd.verification.statistics.permutation import FEW_PAIRS


@dataclass(frozen=True)
class SiteScores:
    """Mean accuracies over some sites; each is None if no pair counts. Unreachable sites are not counted."""

    sites: int
    """The number of sites."""
    iia: float | None
    iia_effective: float | None
    low: float | None
    """The lower end of the 95 % interval of `iia_effective`, if there is only one site."""
    high: float | None
    """The upper end."""
    effective_pairs: float | None
    """Their mean number at the sites that have some."""
    pairs: float | None
    baselines: dict[str, float | None]
    """The `iia_effective` of each baseline at the same sites."""
    best_baseline: float | None
    """The mean over the sites of the highest of the baselines that would explain the accuracy there."""
    counted: int
    """The number of sites that have effective pairs, which are those in `iia_effective`."""
    iia_effective_sd: float | None = None
    """The standard deviation over the seeds; None for one seed."""
    specificity: float | None = None
    """The share of the predictions that the student's intervention does not change either, of those that the teacher's
    does not change."""


@dataclass(frozen=True)
class StudentSummary:
    """One student, or the mean over the seeds of one name."""

    name: str
    seed: int | None
    """The seed; None for a mean over seeds."""
    seeds: int
    task_metric: float | None
    agreement: float | None
    aligned: SiteScores
    other: SiteScores
    task_metric_sd: float | None = None
    """The standard deviation over the seeds; None for one seed."""


def summaries(report: VerificationReport) -> tuple[StudentSummary, ...]:
    """A summary of every student and seed, followed by the mean of each name that has several seeds."""
    found: list[StudentSummary] = []
    for name in report.names:
        singles = [_summary(report, student) for student in report.students if student.name == name]
        found += singles
        if len(singles) > 1:
            found.append(_mean_summary(singles))
    return tuple(found)


def rows_of(report: VerificationReport, name: str, seed: int | None) -> list[InterchangeRow]:
    """The rows of one student; a row without a seed belongs to every student of its name."""
    return [row for row in report.interchange if row.student == name and row.seed in (None, seed)]


def few_pairs(report: VerificationReport) -> str | None:
    """A warning if aligned sites have so few effective pairs that their accuracies are uncertain; None otherwise."""
    sites: dict[tuple[Any, ...], int] = {}
    for row in report.interchange:
        if row.aligned and row.reachable and row.baseline == "measured":
            site = (row.pair, row.component, row.unit, row.teacher_layer, row.head)
            sites[site] = min(row.effective_pairs, sites.get(site, row.effective_pairs))
    few = sorted(pairs for pairs in sites.values() if pairs < FEW_PAIRS)
    if not few:
        return None
    counted = f"{few[0]}" if few[0] == few[-1] else f"{few[0]} to {few[-1]}"
    where = f"{len(few)} of {len(sites)} aligned teacher sites" if len(sites) > 1 else "the one aligned teacher site"
    are = "pair is" if few[-1] == 1 else "pairs are"
    less = "no pair is effective" if few[-1] == 0 else f"only {counted} {are} effective (fewer than {FEW_PAIRS})"
    return (
        f"Few effective pairs: at {where} {less}, so accuracies there are "
        f"{'unknown' if few[-1] == 0 else 'uncertain'}. Verify on more pairs (verification.pairs), or on pairs that "
        "differ in what the site carries."
    )


def _summary(report: VerificationReport, student: StudentResult) -> StudentSummary:
    rows = [row for row in rows_of(report, student.name, student.seed) if row.reachable]
    aligned, other = (_levels([row for row in rows if row.kind == kind]) for kind in ("aligned", "other"))
    return StudentSummary(student.name, student.seed, 1, student.task_metric, student.agreement, aligned, other)


def _levels(rows: list[InterchangeRow]) -> SiteScores:
    real = [row for row in rows if row.baseline == "measured"]
    single = real[0] if len(real) == 1 else None
    counted = [row for row in real if row.iia_effective is not None]
    return SiteScores(
        sites=len(real),
        iia=mean(row.iia for row in real),
        iia_effective=mean(row.iia_effective for row in real),
        low=single and single.iia_effective_low,
        high=single and single.iia_effective_high,
        effective_pairs=mean(row.effective_pairs for row in counted or real),
        pairs=mean(row.pairs for row in counted or real),
        baselines={name: mean(row.iia_effective for row in rows if row.baseline == name) for name in BASELINES},
        best_baseline=best_baseline(rows),
        counted=len(counted),
        specificity=mean(row.specificity for row in real),
    )


def best_baseline(rows: list[InterchangeRow]) -> float | None:
    """The mean over the sites of the highest of the baselines that would explain the accuracy there; of one student."""
    best: dict[tuple[str, str, int | None, int, int], float] = {}
    for row in rows:
        if row.baseline in explaining() and row.iia_effective is not None:
            key = (row.pair, row.component, row.head, row.teacher_layer, row.student_layer)
            best[key] = max(row.iia_effective, best.get(key, 0.0))
    return mean(best.values())


def _mean_summary(singles: list[StudentSummary]) -> StudentSummary:
    return StudentSummary(
        singles[0].name,
        None,
        len(singles),
        mean_over_seeds([single.task_metric for single in singles]),
        mean_over_seeds([single.agreement for single in singles]),
        _mean_levels([single.aligned for single in singles]),
        _mean_levels([single.other for single in singles]),
        sd_over_seeds([single.task_metric for single in singles]),
    )


def _mean_levels(levels: list[SiteScores]) -> SiteScores:
    return SiteScores(
        sites=levels[0].sites,
        iia=mean_over_seeds([level.iia for level in levels]),
        iia_effective=mean_over_seeds([level.iia_effective for level in levels]),
        low=None,
        high=None,
        effective_pairs=mean_over_seeds([level.effective_pairs for level in levels]),
        pairs=mean_over_seeds([level.pairs for level in levels]),
        baselines={name: mean_over_seeds([level.baselines[name] for level in levels]) for name in BASELINES},
        best_baseline=mean_over_seeds([level.best_baseline for level in levels]),
        counted=levels[0].counted,
        iia_effective_sd=sd_over_seeds([level.iia_effective for level in levels]),
        specificity=mean_over_seeds([level.specificity for level in levels]),
    )
