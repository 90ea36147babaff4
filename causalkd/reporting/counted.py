"""What effective IIA is a share of: of pairs, or, where a row has a prediction for every token, of predictions."""

from causalkd.task_types import TOKEN_TASKS
from causalkd.verification.results.report import VerificationReport


def what_changed(report: VerificationReport) -> str:
    """What is counted, after a share: "80.9% of the pairs on which …"."""
    if report.teacher.task in TOKEN_TASKS:
        return "of the predictions that the intervention changes in the teacher"
    return "of the pairs on which the intervention changes the teacher's prediction"


def effective(report: VerificationReport) -> str:
    """What is counted, in two words."""
    return "effective predictions" if report.teacher.task in TOKEN_TASKS else "effective pairs"
