"""The sentences that the numbers of a report support, never stronger than the numbers.

A student above its baselines is evidence of abstraction at that site; one that is not is no evidence, which is not
evidence of the opposite. If the same intervention half the student's depth away is right as often or more, within
chance, the evidence is not about that layer, and a sentence says so.
"""

from collections.abc import Mapping

from causalkd.reporting.counted import effective
from causalkd.reporting.headline import headline
from causalkd.reporting.markdown_text import isolated
from causalkd.reporting.numbers import percent
from causalkd.reporting.short_names import names_or_number
from causalkd.reporting.standing import Evidence, is_trained_there, site_count, standings
from causalkd.reporting.summary import few_pairs
from causalkd.verification.results.report import VerificationReport

_NAMED = 4
"""Up to this many students are named in the sentence about the other sites."""
_TESTS = "paired tests, corrected for the number of sites"


def verdict(report: VerificationReport) -> tuple[str, ...]:
    """Sentences made from the numbers: the first is the headline, the others add to it or limit it."""
    found = standings(report)
    sentences = [headline(report), *_training(report), *_other_sites(report, found), *_unplaced(found)]
    if len({student.seed for student in report.students}) == 1 and any(_above(kinds) for kinds in found.values()):
        sentences.append("One seed: this holds for these trained models, not for the methods.")
    if report.not_finite:
        sentences.append(
            "Some measurements gave no finite number, so a model may have diverged; they are listed below."
        )
    if report.measured_on is not None and report.measured_on.changed:
        sentences.append(
            "Not measured as the run was made, so held-out rows may be ones that models were trained on: "
            f"{'; '.join(report.measured_on.changed)}."
        )
    warning = few_pairs(report)
    return (*sentences, *([warning] if warning else []))


def student_sentences(report: VerificationReport) -> tuple[str, ...]:
    """One sentence per student, with its numbers."""
    return tuple(_of_student(name, effective(report), *kinds) for name, kinds in standings(report).items())


def _above(kinds: tuple[Evidence, Evidence]) -> int:
    return sum(kind.above for kind in kinds)


def _training(report: VerificationReport) -> list[str]:
    """A sentence on the students that were trained at aligned sites, since a comparison with others is not even."""
    sites = site_count(report, "aligned")
    known = {name: is_trained_there(report, name) for name in report.names}
    trained, others = ([name for name, was in known.items() if was is wanted] for wanted in (True, False))
    if not sites or not trained:
        return []
    where = f"at the aligned site{'' if sites == 1 else 's'}"
    if not others:
        return [f"{_subject(trained)} trained {where} with interventions, so a high score is expected there."]
    return [
        f"The comparison {where} is not even: {_subject(trained)} trained there with interventions, {_subject(others)} "
        "not."
    ]


def _subject(names: list[str]) -> str:
    return f"{names_or_number(names)} {'was' if len(names) == 1 else 'were'}"


def _other_sites(report: VerificationReport, found: Mapping[str, tuple[Evidence, Evidence]]) -> list[str]:
    """A sentence on the students at sites that were not trained; none if there are no aligned sites."""
    here = {name: kinds[1] for name, kinds in found.items() if kinds[1].accuracy is not None}
    if not here or not site_count(report, "aligned"):
        return []
    most = max(here.values(), key=lambda each: each.sites)
    one = "At the one other site" if most.measured == 1 else f"At the {most.counted} other sites"
    where = f"{one if most.sites == 1 else f'On average over the {most.counted} other sites'}{most.which}"
    begin = f"{where}, where no student was trained with interventions"
    if len(here) > _NAMED:
        above = sum(each.above > 0 for each in here.values())
        return [f"{begin}, {above} of {len(here)} students are above their baselines at a site ({_TESTS})."]
    said = "; ".join(
        f"{isolated(name)} matches the teacher on {percent(each.accuracy)} (best baseline {percent(each.baseline)}), "
        f"beyond chance above its baselines at {_count_of(each.above, each.sites)}"
        for name, each in here.items()
    )
    return [f"{begin}, {said} ({_TESTS})."]


def _count_of(above: int, sites: int) -> str:
    return f"{above} of {sites} site{'' if sites == 1 else 's'}"


def _unplaced(found: Mapping[str, tuple[Evidence, Evidence]]) -> list[str]:
    """A sentence on what weakens the evidence: sites whose layer is not shown to matter."""
    counts = {name: sum(kind.anywhere for kind in kinds) for name, kinds in found.items()}
    if not any(counts.values()):
        return []
    said = ", ".join(
        f"{_part_of(count, _above(found[name]))} at which {isolated(name)} is above its baselines"
        for name, count in counts.items()
        if count
    )
    return [
        f"The layer is not shown to matter at {said}: there, an intervention half the student's depth away is right as "
        "often or more, within chance."
    ]


def _part_of(count: int, sites: int) -> str:
    """How many of some sites, in words that can be read for one site too."""
    if sites == 1:
        return "the one site"
    return f"{count} of the {sites} sites" if count < sites else f"the {sites} sites"


def _of_student(name: str, counted: str, aligned: Evidence, other: Evidence) -> str:
    parts = [
        f"{kind.accuracy:.3f}{_plus_minus(kind)} of {counted} at {_count(kind.sites, f'{word} site')}"
        f"{_against(kind)}, above its baselines at {kind.above}"
        for word, kind in (("aligned", aligned), ("other", other))
        if kind.accuracy is not None
    ]
    return f"{name}: {'; '.join(parts)}." if parts else f"{name}: no site has enough effective pairs."


def _plus_minus(kind: Evidence) -> str:
    return "" if kind.spread is None else f" ± {kind.spread:.3f} (mean and sd of {kind.seeds} seeds)"


def _against(kind: Evidence) -> str:
    return "" if kind.baseline is None else f" (best baseline {kind.baseline:.3f})"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
