"""The attribution section of a report's page: its figures and tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from analysis.attribution_maps import agreement_by_layer
from analysis.coloured_text import disagreements
from analysis.style import Draw
from causalkd.attribution.maps import AttributionMap
from causalkd.verification.results.attribution import TEACHER, AgreementRow, AttributionResults, GapRow


@dataclass(frozen=True)
class AgreementLine:
    """A student's agreement at the embedding output, beside that of its baselines."""

    student: str
    seed: int
    own: AgreementRow
    random_map: AgreementRow
    untrained: AgreementRow


def agreement_lines(results: AttributionResults) -> list[AgreementLine]:
    """One line for each student and seed, in the order of the results."""
    first = {(row.student, row.seed, row.baseline): row for row in results.agreement if row.layer == 0}
    students = dict.fromkeys((name, seed) for name, seed, _ in first)
    return [
        AgreementLine(
            name,
            seed,
            first[name, seed, "measured"],
            first[name, seed, "random_map"],
            first[name, seed, "untrained_student"],
        )
        for name, seed in students
    ]


def gap_lines(results: AttributionResults) -> list[GapRow]:
    """The completeness gap of each model's map at the embedding output, its first row."""
    return list({(row.model, row.seed): row for row in reversed(results.completeness)}.values())[::-1]


def attribution_figures(results: AttributionResults, maps: Mapping[str, AttributionMap]) -> list[tuple[Draw, str]]:
    """The functions that draw the figures, and their captions; texts are shown where there are maps, for first
    seeds.

    Args:
        results: What was measured.
        maps: Every model's map at the embedding's output, by the name of its folder.
    """
    caption = (
        "After the last block only the position that the head reads has any attribution, and maps differ in its sign."
    )
    by_layer = partial(agreement_by_layer, results)
    figures: list[tuple[Draw, str]] = [(by_layer, f"The teacher is at the same relative depth. {caption}")]
    seeds = {row.student: row.seed for row in reversed(results.agreement)}  # the first seed stays
    for name in dict.fromkeys(row.student for row in results.agreement):
        student = maps.get(f"{name}-seed{seeds[name]}")
        if TEACHER in maps and student is not None:
            shown = partial(disagreements, maps[TEACHER], student, name)
            figures.append((shown, f"The texts on which the teacher and {name}, seed {seeds[name]}, disagree most."))
    return figures
