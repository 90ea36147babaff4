"""What the numbers of a report allow to be said, in words that are never stronger than they are.

A student is *above its controls* at a site if, in every seed, its accuracy on effective pairs exceeds that of each
control there, and the paired test, adjusted for the number of sites, puts chance below 5 %. Sites that cannot be
reached, or for which fewer than 30 effective pairs speak, say nothing. A student above its controls is evidence of
abstraction there; one that is not is no evidence, which is not evidence of the opposite. Where the same exchange half
the student's depth away is right as often or more, within chance, the evidence is not of that layer, and a sentence
says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from causalkd.reporting.summary import few_pairs, rows_of
from causalkd.verification.results.baselines import explaining
from causalkd.verification.results.report import InterchangeRow, VerificationReport
from causalkd.verification.statistics.aggregate import mean, sd
from causalkd.verification.statistics.evidence import is_above
from causalkd.verification.statistics.permutation import FEW_PAIRS

_Key = tuple[str, str, int | None, int, int]


class _Measured(NamedTuple):
    """A site in one seed."""

    real: InterchangeRow
    baselines: list[InterchangeRow]
    other_layer: list[InterchangeRow]
    """The exchange half the student's depth away; none where the student has one block."""


@dataclass(frozen=True)
class Evidence:
    """One student, all its seeds, at the sites of one kind that can say something.

    Attributes:
        sites: How many there are.
        above: At how many it is above its controls in every seed.
        accuracy: Mean effective IIA over them and the seeds; None where there is no site.
        spread: Standard deviation over the seeds of the mean over the sites; None for one seed.
        control: The same mean of the best control of each site.
        anywhere: At how many of those above the controls it does not exceed the exchange at another layer in every
            seed, though there is one.
    """

    sites: int
    above: int
    accuracy: float | None
    spread: float | None
    baseline: float | None
    anywhere: int


def standing(report: VerificationReport, name: str, trained: bool) -> Evidence:
    """How one student stands at the trained or the untrained sites."""
    seeds = [student.seed for student in report.students if student.name == name]
    by_seed = [_sites([row for row in rows_of(report, name, seed) if row.aligned == trained]) for seed in seeds]
    shared = [key for key in by_seed[0] if all(key in sites for sites in by_seed)] if by_seed else []
    found = [[sites[key] for sites in by_seed] for key in shared]
    above = [site for site in found if all(is_above(seed.real, seed.baselines) for seed in site)]
    levels = [mean(site[number].real.iia_effective for site in found) for number in range(len(seeds))]
    return Evidence(
        len(found),
        len(above),
        mean(levels),
        sd(levels),
        mean(_best(seed.baselines) for site in found for seed in site),
        sum(any(not is_above(seed.real, seed.other_layer) for seed in site) for site in above),
    )


def verdict(report: VerificationReport) -> tuple[str, ...]:
    """Sentences made from the numbers: the first sums them up, the others say what limits it."""
    found = _standings(report)
    shown = [name for name, kinds in found.items() if any(kind.above for kind in kinds)]
    sites = max((sum(kind.sites for kind in kinds) for kinds in found.values()), default=0)
    seeds = len({student.seed for student in report.students})
    sentences = [_first(shown, found, sites), *_unplaced(found)]
    if seeds == 1 and shown:
        sentences.append("One seed: this says something of these weights, not yet of the way they were trained.")
    warning = few_pairs(report)
    return (*sentences, *([warning] if warning else []))


def student_sentences(report: VerificationReport) -> tuple[str, ...]:
    """One sentence a student, with its numbers."""
    return tuple(_of_student(name, *kinds) for name, kinds in _standings(report).items())


def _standings(report: VerificationReport) -> dict[str, tuple[Evidence, Evidence]]:
    names = dict.fromkeys(student.name for student in report.students)
    return {name: (standing(report, name, True), standing(report, name, False)) for name in names}


def _first(shown: Sequence[str], found: dict[str, tuple[Evidence, Evidence]], sites: int) -> str:
    if not sites:
        return (
            f"Nothing can be said about abstraction: no site that reaches the output has {FEW_PAIRS} effective pairs."
        )
    if not shown:
        who = next(iter(found)) if len(found) == 1 else "any student"
        return f"There is no evidence of abstraction: at none of {_count(sites, 'site')} is {who} above its controls."
    beyond = [name for name in shown if found[name][1].above]
    if beyond:
        return f"There is evidence of abstraction at sites that no objective saw: {_listed(beyond, found, 1)}."
    said = _listed(shown, found, 0)
    return f"There is evidence of abstraction only at sites that an objective of this run trained: {said}."


def _unplaced(found: dict[str, tuple[Evidence, Evidence]]) -> list[str]:
    """What weakens the evidence: sites that matter no more than others would."""
    counts = {name: sum(kind.anywhere for kind in kinds) for name, kinds in found.items()}
    if not any(counts.values()):
        return []
    said = ", ".join(
        f"{count} of {sum(kind.above for kind in found[name])} of {name}" for name, count in counts.items() if count
    )
    return [
        "Not every such site is shown to depend on its layer: half the student's depth away the exchange is right at "
        f"least as often, within chance, at {said}."
    ]


def _listed(names: Sequence[str], found: dict[str, tuple[Evidence, Evidence]], kind: int) -> str:
    word = ("trained site", "untrained site")[kind]
    kinds = {name: found[name][kind] for name in names}
    return ", ".join(
        f"{name} is above its controls at {k.above} of {_count(k.sites, word)}" for name, k in kinds.items()
    )


def _of_student(name: str, trained: Evidence, untrained: Evidence) -> str:
    parts = [
        f"{kind.accuracy:.3f}{_plus_minus(kind)} of effective pairs at {_count(kind.sites, f'{word} site')}"
        f"{_against(kind)}, above its controls at {kind.above}"
        for word, kind in (("trained", trained), ("untrained", untrained))
        if kind.accuracy is not None
    ]
    return f"{name}: {'; '.join(parts)}." if parts else f"{name}: no site says anything."


def _plus_minus(kind: Evidence) -> str:
    return "" if kind.spread is None else f" ± {kind.spread:.3f}"


def _against(kind: Evidence) -> str:
    return "" if kind.baseline is None else f" (best control {kind.baseline:.3f})"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def _sites(rows: Sequence[InterchangeRow]) -> dict[_Key, _Measured]:
    """By site what was measured there, where enough effective pairs speak and there is a control."""
    real: dict[_Key, InterchangeRow] = {}
    baselines: dict[_Key, list[InterchangeRow]] = {}
    other_layer: dict[_Key, list[InterchangeRow]] = {}
    for row in rows:
        if not row.reachable or row.effective_pairs < FEW_PAIRS:
            continue
        key = (row.pair, row.component, row.head, row.teacher_layer, row.student_layer)
        if row.baseline == "measured":
            real[key] = row
        elif row.baseline in explaining():
            baselines.setdefault(key, []).append(row)
        elif row.baseline == "wrong_layer":
            other_layer[key] = [row]
    return {k: _Measured(row, baselines[k], other_layer.get(k, [])) for k, row in real.items() if k in baselines}


def _best(baselines: Sequence[InterchangeRow]) -> float | None:
    return max((baseline.iia_effective for baseline in baselines if baseline.iia_effective is not None), default=None)
