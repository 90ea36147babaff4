"""The attribution section of a report's page: its figures, tables and texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan

import numpy as np

from analysis.figures.attribution_maps import STRONGEST, agreement_by_layer, signed_shares
from analysis.figures.coloured_text import cosine
from analysis.figures.style import Draw
from analysis.pages.text_views import SHOWN_TEXTS, SHOWN_VIEWS, Line, Passage, TextViews, View, coloured_words
from causalkd.attribution.maps import AttributionMap
from causalkd.verification.measures.map_scores import text_agreement
from causalkd.verification.results.attribution import TEACHER, AgreementRow, AttributionResults, GapRow


@dataclass(frozen=True)
class AgreementLine:
    """A student's agreement at the embedding output, beside that of its baselines."""

    student: str
    seed: int
    own: AgreementRow
    random_map: AgreementRow
    untrained: AgreementRow

    @property
    def texts(self) -> str:
        """The number of texts for which the measures are defined; their range where it differs between measures."""
        counts = sorted({self.own.cosine.n, self.own.spearman.n, self.own.overlap.n})
        return "–".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))


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


def attribution_figures(results: AttributionResults) -> list[tuple[Draw, str]]:
    """The functions that draw the figures, and their captions."""
    caption = (
        "After the last block only the position that the head reads has any attribution, and maps differ in its sign."
    )
    by_layer = partial(agreement_by_layer, results)
    return [(by_layer, f"The teacher is at the same relative depth. {caption}")]


def attribution_texts(results: AttributionResults, maps: Mapping[str, AttributionMap]) -> TextViews | None:
    """The texts on which the students' maps are farthest from the teacher's, coloured by both; None without maps.

    Args:
        results: What was measured; of each student, the first seed is shown.
        maps: Every model's map at the embedding's output, by the name of its folder.
    """
    seeds = {row.student: row.seed for row in reversed(results.agreement)}  # the first seed stays
    folders = {name: f"{name}-seed{seeds[name]}" for name in dict.fromkeys(row.student for row in results.agreement)}
    students = {name: maps[folder] for name, folder in folders.items() if folder in maps}
    if TEACHER not in maps or not students:
        return None
    teacher = maps[TEACHER]
    cosines = np.stack([text_agreement(teacher, each) for each in students.values()])
    known = ~np.isnan(cosines)
    sums = np.where(known, cosines, 0).sum(0)
    means = np.divide(sums, known.sum(0), out=np.full(len(sums), np.inf), where=known.any(0))
    chosen = np.argsort(means, kind="stable")[:SHOWN_TEXTS].tolist()  # those that no student has a cosine for come last
    shown = range(min(len(teacher.views), SHOWN_VIEWS))
    views = tuple(_view(teacher, students, number, chosen) for number in shown)
    rest = f" {len(teacher.views) - len(views)} more views are not shown." if len(teacher.views) > len(views) else ""
    key = (
        f"The {len(chosen)} of {len(teacher.mask)} texts on which the students' maps are farthest from the teacher's, "
        "by their mean cosine. Blue tokens speak for what is explained; red, underlined ones speak against it. The "
        f"stronger the colour, the larger the token's share of the text's attribution; the whole strength is "
        f"{STRONGEST:.0%}. First seeds.{rest}"
    )
    return TextViews("attribution", "Explained", key, views)


def _view(teacher: AttributionMap, students: Mapping[str, AttributionMap], view: int, texts: Sequence[int]) -> View:
    names = set(teacher.views[view])
    passages = []
    for text in texts:
        what = "" if len(names) == 1 else f": {teacher.views[view][text]}"
        lines = [_line(TEACHER, teacher, text, view, "")]
        for name, each in students.items():
            lines.append(_line(name, each, text, view, f"cosine {_signed(cosine(teacher, each, text, view))}"))
        passages.append(Passage(f"Text {text}{what}", tuple(lines)))
    return View(names.pop() if len(names) == 1 else f"view {view + 1}", tuple(passages))


def _line(name: str, found: AttributionMap, text: int, view: int, note: str) -> Line:
    here = found.mask[text].nonzero()[:, 0].tolist()
    shares = signed_shares(found.scores[view, text, here].double().numpy()).tolist()
    tokens = [found.tokens[text][position] for position in here]
    return Line(name, note, coloured_words(tokens, shares, map(_signed, shares), STRONGEST))


def _signed(value: float) -> str:
    return "not defined" if isnan(value) else f"{value:+z.3f}".replace("-", "−")
