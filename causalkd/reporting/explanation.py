"""Sentences that explain a headline: what was intervened on, what effective IIA is, and what may not be concluded."""

from collections.abc import Sequence

from causalkd.alignment.spec import GRID
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.recipe.objectives import OBJECTIVES
from causalkd.reporting.counted import how_pairs_are_chosen, what_a_prediction_is, what_changed
from causalkd.reporting.headline import span, where_it_counts
from causalkd.reporting.markdown_text import isolated
from causalkd.reporting.standing import is_trained_there, site_count
from causalkd.reporting.summary import summaries
from causalkd.task_types import TOKEN_TASKS
from causalkd.verification.results.baselines import BASELINES
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.statistics.evidence import is_sure

_NAMED = 4
"""The largest number of students whose objectives are stated."""
_COMPONENTS = {
    "block_output": "the output of a layer",
    "block_input": "the input of a layer",
    "attention_output": "the attention output of a layer",
    "mlp_output": "the MLP output of a layer",
    "attention_value_output": "the output of a layer's attention heads",
    "head_attention_value_output": "the output of one attention head of a layer",
    "token_embedding": "the embedding of the tokens",
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

_EXPECTED = "from an aligned site alone, since a student that was trained there is expected to score high"


def explanation(report: VerificationReport) -> tuple[str, str]:
    """Two texts that a reader needs to understand the headline: what was done in this run, and what is counted."""
    return _what_was_done(report), _what_is_counted(report)


def not_concluded(report: VerificationReport) -> tuple[str, ...]:
    """Conclusions that the numbers do not support, each as the end of a sentence: "You may not conclude …"."""
    seeds, names = ({getattr(student, key) for student in report.students} for key in ("seed", "name"))
    trained = any(is_trained_there(report, name) is not False for name in names)
    between = [row for row in report.differences if row.student != row.reference and row.measure == "iia_effective"]
    unsure = len(names) > 1 and not (between and all(is_sure(report, row) for row in between))
    independent = ": the other sites are the independent evidence" if site_count(report, "other") else ""
    return (
        f"that {'another seed' if len(seeds) < 3 else 'other data or models'} would give the same",
        "that the student computes as the teacher does at sites that were not measured",
        "that a student with a low score computes nothing as the teacher does",
        *(
            ["that students are equal because no difference is shown: with few pairs, only a large one shows"]
            if unsure
            else []
        ),
        *([_EXPECTED + independent] if trained and site_count(report, "aligned") else []),
    )


def without_computing_alike(report: VerificationReport) -> str:
    """A description of the best baseline, with its name if it is the same one for every student."""
    names = {each.baseline_name for each in where_it_counts(report).values()}
    name = names.pop() if len(names) == 1 else None
    here = "" if name is None else f" (here: {BASELINES[name].doing or BASELINES[name].title})"
    return f"the level that is reached without computing as the teacher does{here}"


def _what_was_done(report: VerificationReport) -> str:
    declared = [row for row in report.interchange if row.aligned] or [
        row for row in report.interchange if not row.pair.startswith(GRID)
    ]
    parts = dict.fromkeys(_COMPONENTS.get(row.component, row.component.replace("_", " ")) for row in declared)
    where = _and(list(parts)) if parts else "the activations of a layer"
    was = "was replaced" if len(parts) == 1 else "were replaced"
    one = "the one" if len(parts) == 1 else "those"
    policies = [pair.positions or report.alignment.positions for pair in report.alignment.pairs]
    at = " or ".join(sorted({_positions(policy) for policy in policies}))
    return (
        f"In the teacher and in the student, {where} {was}{f' at {at}' if at else ''} by {one} that the same "
        "model computes for another input, the source; this is an interchange intervention, and the prediction after "
        f"it is a counterfactual. {_aligned(report)}{_trained_with(report)}"
    )


def _aligned(report: VerificationReport) -> str:
    """A sentence about the aligned sites, or about sites if none is aligned."""
    count = site_count(report, "aligned")
    if not count:
        return "A site is a layer of the teacher and one of the student, at which this is done."
    which = "The aligned site is" if count == 1 else "The aligned sites are"
    return f"{which} what this run declares to correspond in the two models."


def _trained_with(report: VerificationReport) -> str:
    """A sentence about the sources that the students learned from; empty if there are many students."""
    found = {each.name: [name for name, weight in each.objectives.items() if weight] for each in report.students}
    if len(found) > _NAMED or not all(found.values()):
        return ""
    shared = [name for name in next(iter(found.values())) if all(name in own for own in found.values())]
    everyone = "The student" if len(found) == 1 else "Every student"
    said = [f"{everyone} learned from {_learned(shared)}"] if shared else []
    for name, names in found.items():
        own = [each for each in names if each not in shared]
        if own:
            said.append(f"{isolated(name)}{' also' if shared else ' learned'} from {_learned(own)}")
    return f" {'; '.join(said)}."


def _learned(objectives: Sequence[str]) -> str:
    known = {name: OBJECTIVES[name].learns_from for name in objectives if name in OBJECTIVES}
    return _and([known.get(name) or name for name in objectives])


def _and(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _positions(policy: PositionPolicy) -> str:
    if policy.policy == "segments":
        return f"the tokens of {_and([name.replace('_', ' ') for name in policy.segments])}"
    if policy.policy in ("first", "last") and (policy.maximum or 1) > 1:
        return f"the {policy.policy} {policy.maximum} tokens"
    return _POSITIONS.get(policy.policy, policy.policy)


def _what_is_counted(report: VerificationReport) -> str:
    levels = [summary.aligned if summary.aligned.sites else summary.other for summary in summaries(report)]
    counted = next((level for level in levels if level.effective_pairs is not None), None)
    known = [each.baseline for each in where_it_counts(report).values()]
    sites = "" if counted is None or counted.counted < 2 else ", on average over sites"
    inside = "in " if report.teacher.task in TOKEN_TASKS else ""
    pairs = (
        ""
        if counted is None
        else f" ({inside}{counted.effective_pairs:.0f} of {counted.pairs:.0f} held-out pairs{sites})"
    )
    beat = (
        f" The level to beat is the best baseline ({span(known)}): {without_computing_alike(report)}." if known else ""
    )
    tolerance = report.environment.tolerance
    alike = "" if tolerance is None else f" Two numbers that are at most {tolerance:g} apart are one prediction."
    return (
        "Effective interchange intervention accuracy (effective IIA) is a share "
        f"{what_changed(report)}{pairs}: that on which the student, after its own intervention, predicts what the "
        f"teacher predicts.{how_pairs_are_chosen(report)}{what_a_prediction_is(report)}{alike}{beat}"
    )
