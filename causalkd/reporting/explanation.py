"""Three plain sentences under a headline: what was intervened on, what effective IIA is, what may not be concluded."""

from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.reporting.headline import percent
from causalkd.reporting.summary import summaries
from causalkd.verification.results.report import GRID, VerificationReport

_COMPONENTS = {
    "block_output": "the output of a layer",
    "block_input": "the input of a layer",
    "attention_output": "the attention output of a layer",
    "mlp_output": "the MLP output of a layer",
}
_POSITIONS = {
    "all": "every token",
    "consecutive": "one span of tokens",
    "scattered": "randomly drawn tokens",
    "masked": "the masked tokens",
    "first": "the first token",
    "last": "the last token",
    "explicit": "chosen tokens",
}


def explanation(report: VerificationReport) -> tuple[str, str, str]:
    """What a reader must know to understand the headline, in three sentences that say what this run did."""
    return _what_was_done(report), _what_is_counted(report), _what_does_not_follow(report)


def _what_was_done(report: VerificationReport) -> str:
    declared = [row for row in report.interchange if row.aligned] or [
        row for row in report.interchange if not row.pair.startswith(GRID)
    ]
    parts = dict.fromkeys(_COMPONENTS.get(row.component, row.component.replace("_", " ")) for row in declared)
    where = " and ".join(parts) or "the activations of a layer"
    policies = [pair.positions or report.alignment.positions for pair in report.alignment.pairs]
    at = " or ".join(sorted({_positions(policy) for policy in policies}))
    return (
        f"In the teacher and in the student, {where} was replaced{f' at {at}' if at else ''} by the one that the same "
        "model computes for another input, the source; this is an interchange intervention, and the prediction after "
        "it is a counterfactual."
    )


def _positions(policy: PositionPolicy) -> str:
    if policy.policy == "segments":
        return "the tokens of " + " and ".join(name.replace("_", " ") for name in policy.segments)
    if policy.policy in ("first", "last") and (policy.maximum or 1) > 1:
        return f"the {policy.policy} {policy.maximum} tokens"
    return _POSITIONS.get(policy.policy, policy.policy)


def _what_is_counted(report: VerificationReport) -> str:
    levels = [summary.aligned if summary.aligned.cells else summary.other for summary in summaries(report)]
    counted = next((level for level in levels if level.effective_pairs is not None), None)
    known = [level.best_baseline for level in levels if level.best_baseline is not None]
    pairs = "" if counted is None else f" ({counted.effective_pairs:.0f} of {counted.pairs:.0f} held-out pairs)"
    chance = "" if not known else f"; the best baseline, a cause other than alignment, reaches {percent(max(known))}"
    return (
        f"Effective IIA is counted on the pairs on which the intervention changes the teacher's prediction{pairs}: it "
        f"is the share of them on which the student's counterfactual is the teacher's{chance}."
    )


def _what_does_not_follow(report: VerificationReport) -> str:
    seeds = len({student.seed for student in report.students})
    again = "another seed would give the same" if seeds < 3 else "other data or models would give the same"
    return (
        f"It does not follow that {again}, that the student computes alike at sites that were not measured, or that a "
        "student with a low score computes nothing alike; and a student that was trained on an aligned site is "
        "expected to score high there, so the other sites are the independent evidence."
    )
