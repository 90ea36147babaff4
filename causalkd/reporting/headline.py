"""The headline of a report: the comparison that the run was made for, as strong as its numbers and no stronger.

The headline names the student with the highest accuracy on effective pairs at the aligned sites, its interval or its
spread over seeds, its best baseline, and the student that it is compared with. A word of comparison is used only where
tests support it: *above its best baseline* where the student exceeds every baseline in every seed, and *more often
than* another student where every paired test, adjusted also for the number of compared students, finds it.
"""

from collections.abc import Mapping

from causalkd.reporting.markdown_text import isolated
from causalkd.reporting.standing import Evidence, standings
from causalkd.verification.results.baselines import BASELINES
from causalkd.verification.results.report import DifferenceRow, VerificationReport
from causalkd.verification.statistics.permutation import CHANCE, FEW_PAIRS

_NAMED = 3
"""So many students are named with their numbers; of more, only the best and the one that it is compared with."""


def headline(report: VerificationReport) -> str:
    """The finding of a report in one or two sentences."""
    kind, here = _kind(report), _here(report)
    if not here:
        return _nothing(report, kind)
    best = _best(here)
    own, count = here[best], len({student.name for student in report.students})
    chosen = f" (the highest of {count} students)" if count > _NAMED else ""
    place = _place(own.sites, kind)
    above = any(each.above for each in here.values())
    where = f"{place}," if above else f"There is no evidence of alignment {place[0].lower()}{place[1:]}:"
    claim = (
        f"{where} {isolated(best)}{chosen} makes the teacher's "
        f"counterfactual prediction on {percent(own.accuracy)} of effective pairs ({certainty(own)})"
        f"{_beside_baselines(own)}{_beside_students(report, best, here)}."
    )
    return claim + _another_layer(own) + _unmeasured(report, here)


def percent(value: float | None) -> str:
    """A share in percent with one decimal, or a dash."""
    return "–" if value is None else f"{100 * value:.1f}%"


def certainty(found: Evidence) -> str:
    """How certain an accuracy is: its interval for one seed and site, its spread over several seeds."""
    if found.spread is not None:
        return f"mean of {found.seeds} seeds, ± {100 * found.spread:.1f} points"
    interval = "" if found.low is None or found.high is None else f"95% interval {percent(found.low)} to "
    end = "" if not interval else f"{percent(found.high)}; "
    mean = f"mean of {found.sites} sites; " if found.sites > 1 else ""
    return f"{interval}{end}{mean}one seed"


def _nothing(report: VerificationReport, kind: int) -> str:
    rows = [row for row in report.interchange if row.baseline == "measured" and row.reachable]
    rows = [row for row in rows if row.aligned] or rows
    most = max((row.effective_pairs for row in rows), default=0)
    where = "no aligned site" if kind == 0 else "no site"
    return (
        f"Nothing can be concluded: {where} that can reach the output has {FEW_PAIRS} effective pairs, on which the "
        f"intervention changes the teacher's prediction (the most is {most})."
    )


def _place(sites: int, kind: int) -> str:
    if kind == 0:
        return "At the aligned site" if sites == 1 else f"On average over {sites} aligned sites"
    return (
        "At one site, which was not trained" if sites == 1 else f"On average over {sites} sites, none of them trained"
    )


def _beside_baselines(own: Evidence) -> str:
    title = "" if own.baseline_name is None else f"{BASELINES[own.baseline_name].title}, "
    value = f"{title}{percent(own.baseline)}"
    if own.above == 0:
        return f", which is not shown to be above its best baseline ({value})"
    if own.above < own.sites:
        return f", above its best baseline ({value}) at {own.above} of {own.sites} sites"
    return f", above its best baseline ({value})"


def named_students(report: VerificationReport) -> list[str]:
    """The students that the headline names, in the order of the report; where it names none, the first few."""
    here = _here(report)
    names = list(dict.fromkeys(student.name for student in report.students))
    if not here or len(here) <= _NAMED:
        return names[:_NAMED]
    best = _best(here)
    return [name for name in names if name in (best, *_others(report, best, here))]


def _here(report: VerificationReport) -> dict[str, Evidence]:
    """How each student stands where the headline looks: at aligned sites, or at all others where there are none."""
    kind = _kind(report)
    found = standings(report)
    return {name: kinds[kind] for name, kinds in found.items() if kinds[kind].accuracy is not None}


def _kind(report: VerificationReport) -> int:
    return 0 if any(row.aligned for row in report.interchange) else 1


def _best(here: Mapping[str, Evidence]) -> str:
    return max(here, key=lambda name: here[name].accuracy or 0.0)


def _others(report: VerificationReport, best: str, here: Mapping[str, Evidence]) -> list[str]:
    others = [name for name in here if name != best]
    if len(here) <= _NAMED:
        return others
    return [name for name in others if differences_of(report, best, name)][:1]


def _beside_students(report: VerificationReport, best: str, here: Mapping[str, Evidence]) -> str:
    others = _others(report, best, here)
    compared = [name for name in others if differences_of(report, best, name)]
    relations = {name: _relation(report, best, name) if name in compared else "; beside" for name in others}
    return "".join(
        f"{relation} {isolated(name)} ({percent(here[name].accuracy)})" for name, relation in relations.items()
    )


def _relation(report: VerificationReport, best: str, other: str) -> str:
    rows = differences_of(report, best, other)
    surely = sum(is_sure(report, row) and difference > 0 for row, difference in rows)
    if surely == len(rows):
        return ", and more often, beyond chance, than"
    if surely:
        return f", and more often, beyond chance in {surely} of {len(rows)} comparisons, than"
    return "; it is not shown to do so more often than"


def differences_of(report: VerificationReport, student: str, other: str) -> list[tuple[DifferenceRow, float]]:
    """The comparisons of two students where enough pairs count, each with how much higher the first one scores."""
    rows = [row for row in report.differences if row.measure == "iia_effective" and row.pairs >= FEW_PAIRS]
    return [
        (row, row.difference if row.student == student else -row.difference)
        for row in rows
        if {row.student, row.reference} == {student, other} and student != other
    ]


def is_sure(report: VerificationReport, row: DifferenceRow) -> bool:
    """Whether a difference is beyond chance, adjusted for the sites and for the number of compared students."""
    count = len({(each.student, each.reference) for each in report.differences if each.student != each.reference})
    return row.q_value is not None and row.q_value * count < CHANCE


def _unmeasured(report: VerificationReport, here: Mapping[str, Evidence]) -> str:
    names = dict.fromkeys(isolated(each.name) for each in report.students if each.name not in here)
    return f" No value was measured for {', '.join(names)}." if names else ""


def _another_layer(own: Evidence) -> str:
    if not own.anywhere:
        return ""
    where = "" if own.anywhere == own.sites == 1 else f" at {own.anywhere} of {own.sites} sites"
    return f" The layer is not shown to matter: an intervention at another student layer agrees as often{where}."
