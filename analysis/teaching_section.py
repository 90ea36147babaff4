"""The section of a report's page about teaching modes: its figures."""

from functools import partial

from analysis.style import Draw
from analysis.teaching_modes import accuracy_by_mode, coloured_modes, teaching_shares, uncertainty_distribution
from analysis.training_curves import Metrics
from causalkd.verification.results.attribution import TEACHER
from causalkd.verification.results.teaching import TeachingResults

_TARGET, _WHOLE = "term/dkd", "term/response_kd"
_SHOWN = 2  # texts


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
    labelled = [number for number, text in enumerate(results.texts) if text.position]
    words = [text.tokens for text in results.texts]
    figures += [(partial(coloured_modes, words, tokens, number), "A training text.") for number in labelled[:_SHOWN]]
    return figures
