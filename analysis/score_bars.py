"""Bars of effective IIA with their intervals, every seed a point, the best baseline marked: data for the page."""

from dataclasses import dataclass

from analysis.style import student_colours
from causalkd.reporting.headline import percent
from causalkd.reporting.standing import Evidence, standings
from causalkd.verification.results.baselines import BASELINES
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.statistics.permutation import FEW_PAIRS


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
        meaning: The exact numbers in words, for a tooltip.
    """

    name: str
    colour: str
    value: float | None
    low: float | None
    high: float | None
    points: tuple[float, ...]
    baseline: float | None
    meaning: str


@dataclass(frozen=True)
class BarGroup:
    """The bars of all students at the sites of one kind."""

    title: str
    bars: tuple[Bar, ...]


def bar_groups(report: VerificationReport) -> list[BarGroup]:
    """The aligned sites, and the others where some were measured; the same sites as in the verdict."""
    found = standings(report)
    colours = student_colours(found)
    groups = []
    for kind, aligned in enumerate((True, False)):
        if any(row.aligned == aligned for row in report.interchange):
            bars = tuple(_bar(name, colours[name], kinds[kind]) for name, kinds in found.items())
            sites = max((kinds[kind].sites for kinds in found.values()), default=0)
            groups.append(BarGroup(_title(sites, aligned), bars))
    return groups


def _title(sites: int, aligned: bool) -> str:
    word = "aligned" if aligned else "other"
    if not sites:
        return f"At {word} sites: fewer than {FEW_PAIRS} effective pairs"
    if sites == 1:
        return "At the aligned site" if aligned else "At the one other site"
    return f"At {sites} {word} sites"


def _bar(name: str, colour: str, found: Evidence) -> Bar:
    several = len(found.levels) > 1
    low, high = (min(found.levels), max(found.levels)) if several else (found.low, found.high)
    if found.accuracy is None:
        return Bar(name, colour, None, None, None, (), None, f"{name}: no value was measured")
    points = found.levels if several else ()
    return Bar(name, colour, found.accuracy, low, high, points, found.baseline, _meaning(name, found, low, high))


def _meaning(name: str, found: Evidence, low: float | None, high: float | None) -> str:
    kind = "lowest and highest seed" if len(found.levels) > 1 else "95% interval"
    interval = "" if low is None or high is None else f" ({kind} {percent(low)} to {percent(high)})"
    title = "" if found.baseline_name is None else f" ({BASELINES[found.baseline_name].title})"
    return f"{name}: effective IIA {percent(found.accuracy)}{interval}; best baseline {percent(found.baseline)}{title}"
