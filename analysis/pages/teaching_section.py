"""The section of a report's page about teaching modes: its figures and texts."""

from functools import partial

from analysis.figures.style import Draw
from analysis.figures.teaching_modes import accuracy_by_mode, teaching_shares, uncertainty_distribution
from analysis.figures.training_curves import Metrics
from analysis.pages.text_views import SHOWN_TEXTS, Line, Passage, TextViews, View, coloured_words
from causalkd.verification.results.attribution import TEACHER
from causalkd.verification.results.teaching import ModeText, TeachingResults

_TARGET, _WHOLE = "term/dkd", "term/response_kd"
_FAINTEST = 0.1
"""The least strength of a colour, by which the mode of a token can still be seen."""


def teaching_figures(results: TeachingResults, metrics: Metrics) -> list[tuple[Draw, str]]:
    """The functions that draw the figures, and their captions; first seeds only, except along training.

    Args:
        results: What was measured.
        metrics: Rows of the run's log; shares along training are shown for students whose log has both terms.
    """
    tokens = results.tokens
    half = f"A token is hard among the {results.hard_fraction:.0%} most uncertain ones, which start at the dot."
    figures: list[tuple[Draw, str]] = [(partial(uncertainty_distribution, {TEACHER: tokens}), half)]
    logged = [row for row in metrics if row["student"] in results.logged and _TARGET in row and _WHOLE in row]
    if logged:
        rest = "The rest of forward KL is the diversity-oriented UNC · DKD. One line per student and seed."
        figures.append((partial(teaching_shares, logged, _TARGET, _WHOLE), rest))
    first = {each.student: each.accuracy for each in reversed(results.students)}
    students = {name: first[name] for name in dict.fromkeys(each.student for each in results.students)}
    caption = "Held-out pairs; a prediction is easy or hard by the teacher's uncertainty on base. First seeds."
    figures.append((partial(accuracy_by_mode, students), caption))
    return figures


def teaching_texts(results: TeachingResults) -> TextViews:
    """The first texts that have labels, each token coloured by its teaching mode."""
    labelled = [(number, text) for number, text in enumerate(results.texts) if text.position][:SHOWN_TEXTS]
    views = tuple(
        View(title, tuple(_passage(number, text, modes) for number, text in labelled))
        for title, modes in (("easy and hard tokens", (True, False)), ("easy", (False,)), ("hard", (True,)))
    )
    key = (
        "Training texts. Blue tokens are easy: they are trained on the diversity-oriented term only, and are the bluer "
        "the surer the teacher is. Red, underlined tokens are hard: they are trained on both terms, and are the redder "
        "the more uncertain the teacher is. Tokens without colour are not labelled, or of the other mode."
    )
    return TextViews("teaching", "Coloured", key, views)


def _passage(number: int, text: ModeText, modes: tuple[bool, ...]) -> Passage:
    shares, meanings = [0.0] * len(text.tokens), ["not labelled"] * len(text.tokens)
    for place, uncertainty, hard in zip(text.position, text.uncertainty, text.hard, strict=True):
        meanings[place] = f"{'hard' if hard else 'easy'}, uncertainty {uncertainty:.3f}"
        if hard in modes:
            shares[place] = -max(uncertainty, _FAINTEST) if hard else max(1 - uncertainty, _FAINTEST)
    easy, hard = len(text.hard) - sum(text.hard), sum(text.hard)
    heading = f"Text {number}: {easy} easy token{'' if easy == 1 else 's'}, {hard} hard"
    return Passage(heading, (Line(TEACHER, "", coloured_words(text.tokens, shares, meanings)),))
