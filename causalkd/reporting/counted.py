"""Words for what effective IIA counts: pairs, or, if a row has a prediction for every token, predictions."""

from collections.abc import Mapping

from causalkd.task_types import TOKEN_TASKS
from causalkd.verification.results.report import VerificationReport


def what_changed(report: VerificationReport) -> str:
    """The words after a share: "80.9% of the pairs on which …"."""
    if report.teacher.task in TOKEN_TASKS:
        return "of the predictions that the intervention changes in the teacher"
    return "of the pairs on which the intervention changes the teacher's prediction"


_PREDICTION: Mapping[str, str] = {
    "masked_lm": "the likeliest token at one position",
    "causal_lm": "the likeliest token at one position",
    "multi_label": "the whole set of a row's labels",
    "token_classification": "the label of one token",
    "question_answering": "a span of tokens in one window of a question's context: both ends must be the same",
}


_CHOSEN: Mapping[str, str] = {
    "uniform": "are any two rows",
    "same_length": "are two rows of the same length",
    "same_segments": "are two rows with the same segments at the same tokens",
    "other_label": "are two rows of different labels",
    "both_right": "are two rows that the teacher and every student predict correctly",
    "other_variable": "are two rows that differ in a variable of the causal model",
}


def how_pairs_are_chosen(report: VerificationReport) -> str:
    """A sentence about the selection of pairs, after a space; empty if the report does not hold it."""
    if report.environment.pair_selection is None:
        return ""
    choice, _, variable = report.environment.pair_selection.partition(": ")
    found = _CHOSEN.get(choice, f"are chosen by {choice}")
    return f" Held-out pairs {found}{variable and f' ({variable})'}."


def what_a_prediction_is(report: VerificationReport) -> str:
    """A sentence that defines a prediction, after a space; empty if it is one label or one number per row."""
    found = _PREDICTION.get(report.teacher.task)
    return "" if found is None else f" A prediction is {found}."


def rows_called(report: VerificationReport) -> str:
    """The unit of the task metric: a question counts once, however many windows its context has."""
    return "questions" if report.teacher.task == "question_answering" else "rows"


def effective(report: VerificationReport) -> str:
    """The counted unit of effective IIA, in two words."""
    return "effective predictions" if report.teacher.task in TOKEN_TASKS else "effective pairs"
