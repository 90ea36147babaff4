"""The evidence for a student at the aligned or the other sites: its accuracy, its baselines, and their certainty.

A student is *above its baselines* at a site if, in every seed, its accuracy on effective pairs exceeds that of each
baseline there, and the paired test, adjusted for the number of sites, puts chance below 5 %. Sites that cannot reach
the output, or that have fewer than 30 effective pairs, are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from causalkd.recipe.objectives import OBJECTIVES
from causalkd.reporting.summary import rows_of
from causalkd.verification.results.baselines import explaining
from causalkd.verification.results.interchange_rows import InterchangeRow, SiteKind
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.statistics.aggregate import mean, sd
from causalkd.verification.statistics.evidence import is_above
from causalkd.verification.statistics.permutation import FEW_PAIRS

SiteKey = tuple[str, str, int | None, int, int]


class _Measured(NamedTuple):
    """The rows of one site in one seed."""

    real: InterchangeRow
    baselines: list[InterchangeRow]
    other_layer: list[InterchangeRow]
    """The intervention half the student's depth away; empty if the student has one block."""


@dataclass(frozen=True)
class Evidence:
    """The evidence for one student, over all its seeds, at the sites of one kind with enough effective pairs.

    Attributes:
        sites: The number of these sites.
        above: The number of these sites at which it is above its baselines in every seed.
        accuracy: Mean effective IIA over the sites and the seeds; None if there is no site.
        spread: Standard deviation over the seeds of the mean over the sites; None for one seed.
        baseline: The same mean of the best baseline of each site.
        anywhere: Of the sites above the baselines, the number at which it does not, in every seed, exceed the
            intervention at another layer, if that was measured.
        seeds: The number of seeds.
        low: Lower end of the 95 % interval of the accuracy; None unless there is one site and one seed.
        high: Its upper end.
        baseline_name: The key of the baseline that is the best one at every site in every seed; None if they differ.
        levels: For each seed, the mean over the sites.
        measured: The number of sites of the kind that can reach the output, including those with too few pairs.
        pairs: The fewest and the most effective pairs of a site, over the seeds; all sites have the same weight.
    """

    sites: int
    above: int
    accuracy: float | None
    spread: float | None
    baseline: float | None
    anywhere: int
    seeds: int = 1
    low: float | None = None
    high: float | None = None
    baseline_name: str | None = None
    levels: tuple[float, ...] = ()
    measured: int = 0
    pairs: tuple[int, int] = (0, 0)

    @property
    def counted(self) -> str:
        """The number of sites in the means; of how many, if some have too few effective pairs."""
        few = "one" if self.sites == 1 else self.sites  # "the one of 2 sites that has …"
        return f"{self.sites}" if self.sites == self.measured else f"{few} of {self.measured}"

    @property
    def weighing(self) -> str:
        """The clause that says how a mean over sites weighs them; empty if they have equally many pairs."""
        return "" if self.sites < 2 else alike(self.pairs)

    @property
    def which(self) -> str:
        """The clause that says which sites are in a mean and how it weighs them; empty if all are and weigh alike."""
        if self.sites == self.measured:
            return self.weighing
        fewest, most = self.pairs
        alike = f" ({fewest:,} to {most:,}, each counted alike)" if self.weighing else ""
        verb = "has" if self.sites == 1 else "have"
        return f" that {verb} at least {FEW_PAIRS} effective pairs{alike}"


def alike(pairs: tuple[int, int]) -> str:
    """The clause that sites with different numbers of effective pairs count alike; empty if the numbers are equal."""
    fewest, most = pairs
    return "" if fewest == most else f", each counted alike ({fewest:,} to {most:,} effective pairs)"


def standings(report: VerificationReport) -> dict[str, tuple[Evidence, Evidence]]:
    """The evidence for each student, by name, at the aligned sites and at the others."""
    return {name: (standing(report, name, "aligned"), standing(report, name, "other")) for name in report.names}


def standing(report: VerificationReport, name: str, kind: SiteKind) -> Evidence:
    """The evidence for one student at the aligned or the other sites."""
    seeds = [student.seed for student in report.students if student.name == name]
    rows = [[row for row in rows_of(report, name, seed) if row.kind == kind] for seed in seeds]
    by_seed = [_sites(each) for each in rows]
    shared = [key for key in by_seed[0] if all(key in sites for sites in by_seed)] if by_seed else []
    found = [[sites[key] for sites in by_seed] for key in shared]
    above = [site for site in found if all(is_above(seed.real, seed.baselines) for seed in site)]
    levels = [mean(site[number].real.iia_effective for site in found) for number in range(len(seeds))]
    best = [_best(seed.baselines) for site in found for seed in site]
    only = found[0][0].real if len(found) == len(seeds) == 1 else None
    names = {None if row is None else row.baseline for row in best}
    counts = [seed.real.effective_pairs for site in found for seed in site]
    return Evidence(
        len(found),
        len(above),
        mean(levels),
        sd(levels),
        mean(None if row is None else row.iia_effective for row in best),
        sum(any(not is_above(seed.real, seed.other_layer) for seed in site) for site in above),
        len(seeds),
        None if only is None else only.iia_effective_low,
        None if only is None else only.iia_effective_high,
        names.pop() if len(names) == 1 else None,
        tuple(level for level in levels if level is not None),
        len({site_of(row) for row in rows[0] if row.reachable and row.baseline == "measured"}) if rows else 0,
        (min(counts, default=0), max(counts, default=0)),
    )


def site_count(report: VerificationReport, kind: SiteKind) -> int:
    """The number of sites of one kind that were measured, also of those that cannot reach the output."""
    return len({site_of(row) for row in report.interchange if row.kind == kind})


def is_trained_there(report: VerificationReport, name: str) -> bool | None:
    """Whether a student was trained with interventions at the aligned sites; None if its objectives are unknown."""
    chosen = {
        objective
        for student in report.students
        if student.name == name
        for objective, weight in student.objectives.items()
        if weight
    }
    known = [OBJECTIVES[objective].interchanges for objective in chosen if objective in OBJECTIVES]
    if any(known):
        return True
    return False if known and len(known) == len(chosen) else None


def _sites(rows: Sequence[InterchangeRow]) -> dict[SiteKey, _Measured]:
    """The rows of each site that has enough effective pairs and a baseline."""
    real: dict[SiteKey, InterchangeRow] = {}
    baselines: dict[SiteKey, list[InterchangeRow]] = {}
    other_layer: dict[SiteKey, list[InterchangeRow]] = {}
    for row in rows:
        if not row.reachable or row.effective_pairs < FEW_PAIRS:
            continue
        key = site_of(row)
        if row.baseline == "measured":
            real[key] = row
        elif row.baseline in explaining():
            baselines.setdefault(key, []).append(row)
        elif row.baseline == "wrong_layer":
            other_layer[key] = [row]
    return {k: _Measured(row, baselines[k], other_layer.get(k, [])) for k, row in real.items() if k in baselines}


def site_of(row: InterchangeRow) -> SiteKey:
    """The key that distinguishes the sites of a student."""
    return row.pair, row.component, row.head, row.teacher_layer, row.student_layer


def _best(baselines: Sequence[InterchangeRow]) -> InterchangeRow | None:
    known = [row for row in baselines if row.iia_effective is not None]
    return max(known, key=lambda row: row.iia_effective or 0.0, default=None)
