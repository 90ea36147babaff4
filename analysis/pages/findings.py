"""The sentence that opens each section of a page and describes its figures: what they show, made from the numbers."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

from analysis.figures.grids import Find, Grid, find_grids
from analysis.figures.training_curves import Metrics
from causalkd.reporting.markdown_text import isolated
from causalkd.reporting.numbers import percent
from causalkd.reporting.short_names import names_or_number
from causalkd.reporting.standing import Evidence, is_trained_there, site_count, standings
from causalkd.reporting.summary import mean, summaries
from causalkd.verification.results.attribution import AttributionResults
from causalkd.verification.results.interchange_rows import Measure, SiteKind
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.results.rows import GroundTruthRow
from causalkd.verification.results.teaching import TeachingResults
from causalkd.verification.statistics.aggregate import mean_over_seeds
from causalkd.verification.statistics.permutation import FEW_PAIRS

_NAMED = 4
"""So many students are named one by one; of more, the range is given."""


def of_task(report: VerificationReport) -> str:
    """How well the students do the task itself."""
    metric = report.teacher.metric.replace("_", " ")
    values = {each.name: each.task_metric for each in summaries(report)}
    return (
        f"On the task itself, {metric} is {_listed(values)}, and {_number(report.teacher.task_metric)} for the teacher."
    )


def of_sites(report: VerificationReport) -> str:
    """Aligned sites beside the others."""
    found, count = standings(report), site_count(report, "aligned")
    aligned, other = (_known({name: kinds[kind].accuracy for name, kinds in found.items()}) for kind in (0, 1))
    said = f"effective IIA is {_listed(other, percent)}"
    if not count:
        return f"No aligned site was measured{f'; {_at(report, found, 1)} {said}' if other else ''}."
    if not aligned:
        return f"Nothing can be said of the aligned site{'' if count == 1 else 's'}: {_unsaid(found)}."
    beside = f", and {_at(report, found, 1)} it is {_listed(other, percent)}" if other else ""
    place = _at(report, found, 0)
    beside += f"; {_unsaid(found)}" if len(aligned) < len(found) else ""
    return f"{place[0].upper()}{place[1:].removesuffix(',')}, effective IIA is {_listed(aligned, percent)}{beside}."


def meaning_of_sites(report: VerificationReport) -> str:
    """What tells aligned sites from the others, by who was trained there."""
    count, others = site_count(report, "aligned"), site_count(report, "other")
    if not count:
        return "A site is aligned if the alignment declares it."
    known = {name: is_trained_there(report, name) for name in report.names}
    trained = [name for name, was in known.items() if was]
    sites, are, them = ("aligned site", "is", "it") if count == 1 else ("aligned sites", "are", "them")
    if trained:
        was = "was" if len(trained) == 1 else "were"
        beyond = f"what is learned beyond {them} shows at the others" if others else "a high score is expected there"
        return f"{names_or_number(trained)} {was} trained at the {sites} with interventions: {beyond}."
    if None in known.values():
        return f"A student that is trained with interventions is expected to score high at the {sites}."
    as_others = " as the others are" if others else ""
    return f"No student was trained with interventions, so the {sites} {are} evidence{as_others}."


def of_grids(report: VerificationReport, measure: Measure, find: Find = find_grids) -> str:
    """The cell with the highest accuracy of each student's first seed, among those with enough pairs."""
    what = "Effective IIA" if measure == "iia_effective" else "IIA"
    unit = "head" if find is not find_grids else "layer"
    seeds = {each.name: each.seed for each in reversed(report.students)}
    said = []
    for name in report.names:
        grids = find(report, name, seeds[name])
        cells = [
            (grid.value(t, s, measure), _cell(grid, t, s, unit, alone=len(grids) == 1))
            for grid in grids
            for (t, s, baseline), row in grid.cells.items()
            if baseline == "measured" and row.reachable and (measure == "iia" or row.effective_pairs >= FEW_PAIRS)
        ]
        known = [(value, cell) for value, cell in cells if value is not None]
        if known:
            value, cell = max(known, key=lambda each: each[0])
            said.append(f"{percent(value)} for {isolated(name)} at {cell}")
    which = f" with at least {FEW_PAIRS} effective pairs" if measure == "iia_effective" else ""
    if not said:
        return f"There is no cell{which}." if which else "No pair counts in any cell."
    return f"{what}{which and f' of the cells{which}'} is highest with {'; '.join(said[:_NAMED])}{_and_more(said)}."


def _cell(grid: Grid, teacher: int, student: int, unit: str, *, alone: bool) -> str:
    """A cell by its layers or heads; one of several grids with what tells these apart, too."""
    if alone:
        return f"teacher {unit} {teacher} and student {unit} {student}"
    return " and ".join(
        axis.replace(" (", f" {number} (", 1) for axis, number in zip(grid.axes, (teacher, student), strict=True)
    )


def of_training(metrics: Metrics) -> str:
    """Where the losses ended."""
    last: dict[str, dict[object, float]] = {}
    steps: dict[str, dict[object, int]] = {}
    for row in metrics:
        if isinstance(row.get("loss"), int | float):
            last.setdefault(str(row["student"]), {})[row["seed"]] = float(str(row["loss"]))
            steps.setdefault(str(row["student"]), {})[row["seed"]] = int(str(row["step"]))
    if not last:
        return "Each curve is one term of the loss, without its weight."
    said = [
        f"{isolated(name)} ended at {_loss(mean(ends.values()))} after {_range(steps[name].values())} steps"
        for name, ends in last.items()
    ]
    return f"{'; '.join(said[:_NAMED])}{_and_more(said)}. Losses with different terms do not compare."


def of_departures(report: VerificationReport) -> str:
    """The pair on which a student departs furthest."""
    worst = max(report.mismatches, key=lambda each: each.kl)
    return (
        f"Most surely, {worst.name} keeps the prediction {worst.student_counterfactual} where the teacher's changes to "
        f"{worst.teacher_counterfactual}. Listed are the pairs of largest divergence."
    )


def of_distances(report: VerificationReport) -> str:
    """The share of states after an intervention that are unusual."""
    shares: dict[str, list[float]] = {}
    for row in report.off_distribution:
        shares.setdefault(row.model, []).append(row.beyond)
    means = {name: mean(values) for name, values in shares.items()}
    return (
        f"After an intervention, the share of unusual states is {_listed(means, percent)}; 5.0% is expected where they "
        "are no different from the states without one."
    )


def of_truth(rows: Sequence[GroundTruthRow]) -> str:
    """Where the teacher carries a variable of the causal model best."""
    known = [(row.iia_effective, row) for row in rows if row.model == "teacher" and row.iia_effective is not None]
    compared = "Each model is compared with the causal model of the task"
    if not known:
        return f"{compared}."
    known = [(value, row) for value, row in known if row.effective_pairs >= FEW_PAIRS]
    if not known:
        return f"{compared}; at no block of the teacher are there {FEW_PAIRS} effective pairs, as a conclusion needs."
    value, row = max(known, key=lambda each: each[0])
    return (
        f"The teacher carries the variable {row.variable.replace('_', ' ')} best at the output of block {row.layer}: "
        f"{percent(value)} of its counterfactuals are the causal model's."
    )


def of_attribution(results: AttributionResults) -> str:
    """How far maps agree at the embedding's output."""
    rows = [row for row in results.agreement if row.layer == 0]
    own = {
        name: mean_over_seeds([row.cosine.mean for row in rows if row.student == name and row.baseline == "measured"])
        for name in dict.fromkeys(row.student for row in rows)
    }
    chance = mean(row.cosine.mean for row in rows if row.baseline == "random_map")
    if not own:
        return "No student's map was compared with the teacher's."
    return f"The cosine with the teacher's map is {_listed(own)}; a random map has {_number(chance)}."


def of_teaching(results: TeachingResults) -> str:
    """What share of forward KL is target-oriented."""
    names = dict.fromkeys(each.student for each in results.students)
    shares = {
        name: mean_over_seeds([each.target_share for each in results.students if each.student == name])
        for name in names
    }
    return f"The target-oriented term's share of forward KL is {_listed(shares, percent)}."


def _known(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: value for name, value in values.items() if value is not None}


def _unsaid(found: Mapping[str, tuple[Evidence, Evidence]]) -> str:
    """Why nothing is said of some students at the aligned sites."""
    untold = {name: aligned for name, (aligned, _) in found.items() if aligned.accuracy is None}
    few, none = ([name for name, each in untold.items() if bool(each.measured) is has] for has in (True, False))
    said = [
        f"{_subject(few)} fewer than {FEW_PAIRS} effective pairs there" if few else "",
        f"{_subject(none)} no site there at which the intervention has an effect" if none else "",
    ]
    return ", and ".join(each for each in said if each)


def _subject(names: Sequence[str]) -> str:
    """Some students, with the verb that says what they have."""
    return f"{names_or_number(names)} {'has' if len(names) == 1 else 'have'}"


def _at(report: VerificationReport, found: Mapping[str, tuple[Evidence, Evidence]], kind: Literal[0, 1]) -> str:
    """The aligned sites, or the others, and how a mean over them weighs them."""
    word: SiteKind = ("aligned", "other")[kind]
    if site_count(report, word) == 1:
        return f"at the {word} site"
    most = max((kinds[kind] for kinds in found.values()), key=lambda each: each.sites)
    return f"on average over the {word} sites{most.weighing}," if most.weighing else f"at the {word} sites"


def _range(values: Collection[int]) -> str:
    """A number, or the least and the greatest where there are several."""
    return " to ".join(map(str, dict.fromkeys((min(values), max(values)))))


def _loss(value: float | None) -> str:
    finite = value is not None and math.isfinite(value)
    return f"a loss of {_number(value)}" if finite else "a loss that is no finite number"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:z.3f}".replace("-", "−")


def _listed(values: Mapping[str, float | None], write: Callable[[float | None], str] = _number) -> str:
    """The values, each with the name it is for, or their range where they are many."""
    known = [value for value in values.values() if value is not None]
    if len(values) > _NAMED and known:
        return f"between {write(min(known))} and {write(max(known))} ({len(values)} models)"
    said = {isolated(name): "not defined" if value is None else write(value) for name, value in values.items()}
    return ", ".join(f"{value} for {name}" for name, value in said.items())


def _and_more(said: Sequence[str]) -> str:
    return f"; and {len(said) - _NAMED} more" if len(said) > _NAMED else ""
