"""The first sentence of a report and of its page: the finding of the run, no stronger than its numbers.

The headline names the student with the highest accuracy on effective pairs at the aligned sites, or those that tie for
it, with its interval or its spread over seeds, its best baseline, and its difference from the student that it is
compared with. If another student scores higher at the other sites, it names that one too. A word of comparison is used
only if tests support it: *above its best baseline* if the student exceeds every baseline in every seed, and *points
more than* another student if paired tests, adjusted also for the number of compared students, find a difference.
"""

from collections.abc import Mapping, Sequence

from causalkd.reporting.counted import what_changed
from causalkd.reporting.markdown_text import isolated
from causalkd.reporting.numbers import percent, probability
from causalkd.reporting.short_names import names_or_number
from causalkd.reporting.standing import Evidence, standings
from causalkd.verification.results.baselines import BASELINES
from causalkd.verification.results.interchange_rows import DifferenceRow
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.statistics.aggregate import mean
from causalkd.verification.statistics.evidence import adjusted_p, is_sure
from causalkd.verification.statistics.permutation import FEW_PAIRS

_NAMED = 3
"""Up to this many students are named with their numbers; of more, only the best and its reference."""


def headline(report: VerificationReport) -> str:
    """The finding of a report in one or two sentences."""
    here = where_it_counts(report)
    if not here:
        return _nothing(report)
    leaders = _leaders(report, here)
    own = here[leaders[0]]
    place = _place(own)
    above = any(each.above for each in here.values())
    which = "the" if len(report.names) == 1 else "a"
    nothing = f"Nothing shows that {which} student computes as the teacher does {place[0].lower()}{place[1:]};"
    where = f"{place}," if above else nothing
    claim = _tied(report, leaders, here) if len(leaders) > 1 else _single(report, leaders[0], here)
    return f"{where} {claim}.{_another_layer(leaders, here)}{_unmeasured(report, here)}"


def _single(report: VerificationReport, best: str, here: Mapping[str, Evidence]) -> str:
    """The claim if one student has the highest accuracy."""
    own, count = here[best], len(report.names)
    chosen = f" (the highest of {count} students)" if count > _NAMED else ""
    return (
        f"{isolated(best)}{chosen} predicts what the teacher predicts on {percent(own.accuracy)} "
        f"{what_changed(report)} ({certainty(own)}){_beside_baselines(own)}{_beside_students(report, best, here)}"
        f"{_reversal(report, best)}"
    )


def _tied(report: VerificationReport, leaders: Sequence[str], here: Mapping[str, Evidence]) -> str:
    """The claim if several students have the highest accuracy: none of them is named alone."""
    count, found = len(report.names), [here[name] for name in leaders]
    few = len(leaders) <= _NAMED
    names = " and ".join(map(isolated, leaders)) if few else f"{len(leaders)} of {count} students"
    certainties = {certainty(each) for each in found}
    seeds = "one seed" if found[0].seeds == 1 else f"mean of {found[0].seeds} seeds"
    levels = span([each.baseline for each in found])
    others = [name for name in here if name not in leaders] if len(here) <= _NAMED else []
    further = "".join(f"; {isolated(name)}: {percent(here[name].accuracy)}" for name in others)
    return (
        f"{names} tie: each predicts what the teacher predicts on {percent(found[0].accuracy)} {what_changed(report)} "
        f"({certainties.pop() if len(certainties) == 1 else seeds}), {_above_baselines(found)} ({levels}){further}"
    )


def _above_baselines(found: Sequence[Evidence]) -> str:
    """The clause about several students and their best baselines."""
    if all(each.above == each.sites for each in found):
        return "each above its best baseline"
    if not any(each.above for each in found):
        return "none shown to be above its best baseline"
    if all(each.sites == 1 for each in found):
        return f"{sum(each.above for each in found)} of them shown to be above their best baselines"
    counts = " to ".join(str(end) for end in sorted({min(e.above for e in found), max(e.above for e in found)}))
    return f"each shown to be above its best baseline at {counts} of {found[0].sites} sites"


def span(values: Sequence[float | None]) -> str:
    """The lowest and the highest of some shares in percent, or one value if they are equal."""
    known = [value for value in values if value is not None]
    ends = dict.fromkeys(percent(each(known)) for each in (min, max)) if known else {"–": None}
    return " to ".join(ends)


def certainty(found: Evidence) -> str:
    """How certain an accuracy is: its interval for one seed and site, its spread over several seeds."""
    if found.spread is not None:
        return f"mean of {found.seeds} seeds, sd {100 * found.spread:.1f} points"
    interval = "" if found.low is None or found.high is None else f"95% interval {percent(found.low)} to "
    end = "" if not interval else f"{percent(found.high)}; "
    mean = f"mean of {found.sites} sites; " if found.sites > 1 else ""
    return f"{interval}{end}{mean}one seed"


def _nothing(report: VerificationReport) -> str:
    rows = [row for row in report.interchange if row.aligned and row.baseline == "measured" and row.reachable]
    most = max((row.effective_pairs for row in rows), default=0)
    if most >= FEW_PAIRS:
        return "Nothing can be concluded: no aligned site was measured beside baselines in every seed."
    number = f"the most is {most}" if most else "none has any"
    return (
        f"Nothing can be concluded: no aligned site that can reach the output has {FEW_PAIRS} effective pairs, on "
        f"which the intervention changes the teacher's prediction ({number})."
    )


def _place(own: Evidence) -> str:
    """The sites that the headline is about; of how many, if the others have too few effective pairs."""
    if own.measured < 2:
        return "At the aligned site"
    some = f"{own.counted} aligned sites{own.which}"
    if own.sites == 1:
        return f"At the {some}"
    return f"On average over {some}" if own.sites == own.measured else f"On average over the {some}"


def _beside_baselines(own: Evidence) -> str:
    title = "" if own.baseline_name is None else f"{BASELINES[own.baseline_name].title}, "
    value = f"{title}{percent(own.baseline)}"
    if own.above == 0:
        return f", which paired tests do not show to be above its best baseline ({value})"
    if own.above < own.sites:
        return f", above its best baseline ({value}) at {own.above} of {own.sites} sites"
    return f", above its best baseline ({value})"


def named_students(report: VerificationReport) -> list[str]:
    """The students that the headline names, in the order of the report; if it names none, the first few."""
    here = where_it_counts(report)
    names = report.names
    if not here or len(here) <= _NAMED:
        return list(names[:_NAMED])
    leaders = _leaders(report, here)
    chosen = leaders[:_NAMED] if len(leaders) > 1 else [*leaders, *_others(report, leaders[0], here)]
    return [name for name in names if name in chosen]


def where_it_counts(report: VerificationReport) -> dict[str, Evidence]:
    """The evidence for each student at the aligned sites, which are those of the headline."""
    found = standings(report)
    return {name: aligned for name, (aligned, _) in found.items() if aligned.accuracy is not None}


def _leaders(report: VerificationReport, here: Mapping[str, Evidence]) -> list[str]:
    """The student with the highest accuracy, and those whose printed accuracy is the same and no test tells apart."""
    best = max(here, key=lambda name: here[name].accuracy or 0.0)
    return [
        name
        for name, each in here.items()
        if percent(each.accuracy) == percent(here[best].accuracy)
        and not any(is_sure(report, row) for row, _ in differences_of(report, best, name))
    ]


def _others(report: VerificationReport, best: str, here: Mapping[str, Evidence]) -> list[str]:
    others = [name for name in here if name != best]
    if len(here) <= _NAMED:
        return others
    return [name for name in others if differences_of(report, best, name)][:1]


def _beside_students(report: VerificationReport, best: str, here: Mapping[str, Evidence]) -> str:
    return "".join(_relation(report, best, name, here[name]) for name in _others(report, best, here))


def _relation(report: VerificationReport, best: str, other: str, theirs: Evidence) -> str:
    """How much higher the best student scores than another one; no claim if they were not compared."""
    rows = differences_of(report, best, other)
    many = len(report.names) > _NAMED
    said = (
        f"{isolated(other)} ({percent(theirs.accuracy)}{', the student that others are compared with' if many else ''}"
    )
    if not rows:
        return f"; beside {said})"
    sure = [difference for row, difference in rows if is_sure(report, row)]
    higher, lower = sum(difference > 0 for difference in sure), sum(difference < 0 for difference in sure)
    middle = mean(difference for _, difference in rows) or 0.0
    interval = _interval(rows[0][0], best)
    if not higher or lower or middle <= 0:
        tested = f"{interval}, adjusted p = {probability(adjusted_p(report, rows[0][0]))}"
        found = f"difference {_points(middle)} points, {tested}" if len(rows) == 1 else _both_ways(rows, higher, lower)
        return f"; it is not shown to score higher than {said}{found and f'; {found}'})"
    if len(rows) == 1:
        return f", and {_points(middle)} points ({interval}) more than {said})"
    ends = [_points(end(difference for _, difference in rows)) for end in (min, max)]
    which = "each" if higher == len(rows) else f"{higher} of them"
    return (
        f", and {_points(middle)} points ({' to '.join(ends)} in {_compared(rows)}, {which} beyond chance) more than "
        f"{said})"
    )


def _both_ways(rows: Sequence[tuple[DifferenceRow, float]], higher: int, lower: int) -> str:
    """The numbers of comparisons in which the best student is higher or lower beyond chance; empty if both are 0."""
    if not higher and not lower:
        return ""
    return f"by more than chance higher in {higher} and lower in {lower} of {_compared(rows)}"


def _compared(rows: Sequence[tuple[DifferenceRow, float]]) -> str:
    """The number of comparisons of two students, which differ in the seed or also in the site."""
    seeds = len({row.seed for row, _ in rows})
    return f"{seeds} seeds" if seeds == len(rows) else f"{len(rows)} comparisons of a seed and a site"


def _interval(row: DifferenceRow, student: str) -> str:
    """The interval of a difference, with the sign for how much higher the given student scores."""
    low, high = (row.low, row.high) if row.student == student else (-row.high, -row.low)
    return f"95% interval {_points(low)} to {_points(high)}"


def _points(value: float) -> str:
    return f"{100 * value:z.1f}".replace("-", "−")  # z: a value that is rounded to zero has no sign


def _reversal(report: VerificationReport, best: str) -> str:
    """The student that scores highest at the other sites, if it is not the best one at the aligned sites."""
    other = {name: kinds[1] for name, kinds in standings(report).items() if kinds[1].accuracy is not None}
    if best not in other:
        return ""
    own = other[best]
    top = max(other, key=lambda name: other[name].accuracy or 0.0)
    theirs = other[top]
    if percent(theirs.accuracy) == percent(own.accuracy):
        return ""
    sites = "at the one other site" if own.sites == 1 else f"on average over the {own.sites} other sites"
    return (
        f"; {sites if own.sites == theirs.sites else 'on average over the other sites'} {isolated(top)} scores higher "
        f"({percent(theirs.accuracy)} against {percent(own.accuracy)}, not tested; best baseline "
        f"{span([theirs.baseline, own.baseline])})"
    )


def differences_of(report: VerificationReport, student: str, other: str) -> list[tuple[DifferenceRow, float]]:
    """The comparisons of two students on enough pairs, each with how much higher the first one scores."""
    rows = [row for row in report.differences if row.measure == "iia_effective" and row.pairs >= FEW_PAIRS]
    return [
        (row, row.difference if row.student == student else -row.difference)
        for row in rows
        if {row.student, row.reference} == {student, other} and student != other
    ]


def _unmeasured(report: VerificationReport, here: Mapping[str, Evidence]) -> str:
    names = [name for name in report.names if name not in here]
    why = f"for which no aligned site reaches the output with {FEW_PAIRS} effective pairs in every seed"
    return f" Nothing is said of {names_or_number(names)}, {why}." if names else ""


def _another_layer(leaders: Sequence[str], here: Mapping[str, Evidence]) -> str:
    weak = [here[name] for name in leaders if here[name].anywhere]
    if not weak:
        return ""
    if len(leaders) > 1:
        which, where = f" for {len(weak)} of these {len(leaders)} students", ""
    else:
        (own,) = weak
        which, where = "", "" if own.anywhere == own.sites == 1 else f" at {own.anywhere} of {own.sites} sites"
    often = f"agrees as often or more{where}"
    return f" The layer is not shown to matter{which}: an intervention at another student layer {often}."
