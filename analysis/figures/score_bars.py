"""Bars of effective IIA with their intervals, every seed a point, the best baseline marked: data for the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.figures.style import student_colours
from causalkd.reporting.numbers import percent
from causalkd.reporting.standing import Evidence, is_trained_there, standings
from causalkd.verification.results.baselines import BASELINES
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.statistics.permutation import FEW_PAIRS

_KINDS = {True: "aligned ", False: "other "}
"""The word for aligned sites and for the others, where some are aligned."""
_TRAINED, _NOT_TRAINED = "trained here", "not trained here"


@dataclass(frozen=True)
class Bar:
    """One student at the sites of one kind; shares from 0 to 1.

    Attributes:
        name: The student's.
        colour: The student's, the same in every figure.
        value: Mean effective IIA; None where no site has enough effective pairs.
        low: Lower end of its 95 % interval, or the lowest seed.
        high: Upper end, or the highest seed.
        points: Every seed's value, where there are several.
        baseline: The best baseline at the same sites.
        certainty: Its interval, or its standard deviation over the seeds, in words; empty where there is neither.
        note: Whether the student was trained at these sites, where that is known and not the same for all.
        meaning: The exact numbers in words, for a tooltip.
    """

    name: str
    colour: str
    value: float | None
    low: float | None
    high: float | None
    points: tuple[float, ...]
    baseline: float | None
    certainty: str
    note: str
    meaning: str


@dataclass(frozen=True)
class BarGroup:
    """The bars of all students at the sites of one kind.

    Attributes:
        title: The kind of sites.
        which: Which of them count, where not all do, and whether all students were trained there or none was.
        bars: A bar each; none where no site has enough effective pairs.
    """

    title: str
    which: str
    bars: tuple[Bar, ...]


def bar_groups(report: VerificationReport) -> list[BarGroup]:
    """The aligned sites, and the others where some were measured; the same sites as in the verdict."""
    found = standings(report)
    measured = {row.aligned for row in report.interchange if not row.touched}
    return [_group(report, found, aligned, named=True in measured) for aligned in (True, False) if aligned in measured]


def _group(report: VerificationReport, found: Mapping[str, Sequence[Evidence]], aligned: bool, named: bool) -> BarGroup:
    """The group of one kind of sites, which is named where some sites are aligned."""
    here = {name: kinds[not aligned] for name, kinds in found.items()}  # the aligned sites stand first
    kind = _KINDS[aligned] if named else ""
    most = max(here.values(), key=lambda each: each.sites)
    notes = {name: _note(report, name) if aligned else "" for name in found}
    shared = _shared(list(notes.values()))
    if not most.sites:
        return BarGroup(_title(most, kind), shared, ())
    colours = student_colours(found)
    bars = (_bar(name, colours[name], each, "" if shared else notes[name]) for name, each in here.items())
    return BarGroup(_title(most, kind), "; ".join(filter(None, [most.which.lstrip(", "), shared])), tuple(bars))


def key_to(groups: Sequence[BarGroup]) -> str:
    """What the marks of these bars are; of the certainties only those that there are."""
    bars = [bar for group in groups for bar in group.bars]
    dots = " A dot is one seed; sd is the standard deviation over the seeds." if any(bar.points for bar in bars) else ""
    interval = any(bar.low is not None and not bar.points for bar in bars)
    means = any(bar.low is None and bar.value is not None for bar in bars)
    without = ", which a mean over several sites does not have" if means else ""
    line = f" The line across its end is the 95% interval{without}." if interval else ""
    return f"A bar is effective IIA.{dots}{line}"


def _title(most: Evidence, kind: str) -> str:
    if not most.sites:
        return f"At {kind}sites: fewer than {FEW_PAIRS} effective pairs"
    if most.measured == 1:
        return f"At the {'' if kind == _KINDS[True] else 'one '}{kind}site"
    return f"{'At' if most.sites == 1 else 'On average over'} {most.counted} {kind}sites"


def _note(report: VerificationReport, name: str) -> str:
    return {True: _TRAINED, False: _NOT_TRAINED, None: ""}[is_trained_there(report, name)]


def _shared(notes: Sequence[str]) -> str:
    """What is said once of several students, where the note of all is the same."""
    known = set(notes) if len(notes) > 1 else set()
    return {_TRAINED: "every student was trained here", _NOT_TRAINED: "no student was trained here"}.get(
        known.pop() if len(known) == 1 else "", ""
    )


def _bar(name: str, colour: str, found: Evidence, note: str) -> Bar:
    several = len(found.levels) > 1
    low, high = (min(found.levels), max(found.levels)) if several else (found.low, found.high)
    if found.accuracy is None:
        return Bar(name, colour, None, None, None, (), None, "", note, f"{name}: no value was measured")
    points = found.levels if several else ()
    said = _meaning(name, found, low, high)
    return Bar(name, colour, found.accuracy, low, high, points, found.baseline, _certainty(found), note, said)


def _certainty(found: Evidence) -> str:
    if found.spread is not None:
        return f"sd {100 * found.spread:.1f} over {found.seeds} seeds"
    return "" if found.low is None or found.high is None else f"{percent(found.low)} to {percent(found.high)}"


def _meaning(name: str, found: Evidence, low: float | None, high: float | None) -> str:
    kind = "lowest and highest seed" if len(found.levels) > 1 else "95% interval"
    interval = "" if low is None or high is None else f" ({kind} {percent(low)} to {percent(high)})"
    title = "" if found.baseline_name is None else f" ({BASELINES[found.baseline_name].title})"
    return f"{name}: effective IIA {percent(found.accuracy)}{interval}; best baseline {percent(found.baseline)}{title}"
