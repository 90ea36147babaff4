"""Attribution results as Markdown, one line per student: task metric, IIA, agreement of maps, faithfulness."""

from collections.abc import Sequence

from causalkd.reporting.markdown_text import plain
from causalkd.reporting.summary import StudentSummary, summaries
from causalkd.verification.results.attribution import TEACHER, AttributionResults, Estimate, FaithfulnessRow
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.statistics.aggregate import mean_over_seeds, sd_over_seeds

_HEADS = (
    "effective IIA (95 %)", "cosine (95 %)", "random map", "untrained", "Spearman", "overlap",
    "comprehensiveness ↑", "sufficiency ↓", "random order",
)  # fmt: skip
_SMALL = 0.001
"""Distances below this have fewer than two digits in four decimals."""


def as_markdown(report: VerificationReport) -> str:
    """A row for the teacher, for each student and seed, and for each name's mean over seeds.

    Effective IIA is at aligned sites. Cosine, Spearman and overlap are the agreement with the teacher's map at the
    embedding output, with two baselines of the cosine; the rest is the normalised AOPC of a model's own map.

    Raises:
        ValueError: The report holds no attribution maps.
    """
    results = report.attribution
    if results is None:
        raise ValueError("the report holds no attribution maps; `causalkd attribute RUN` makes them")
    (own,) = (row for row in results.faithfulness if row.model == TEACHER)
    heads = ["model", "seed", report.teacher.metric.replace("_", " "), *_HEADS]
    rows = [[TEACHER, "", _number(report.teacher.task_metric), *[""] * 6, *_faithful([own])]]
    rows += [[*_behaviour(summary), *_attribution(results, summary)] for summary in summaries(report)]
    made = results.settings
    first, *others = (f"| {' | '.join(map(plain, row))} |" for row in (heads, *rows))
    lines = [first, f"| {' | '.join(['---'] * len(heads))} |", *others]
    return "\n".join([*lines, "", f"{made.texts} texts; {made.views}; {made.steps} steps from {made.baseline}"]) + "\n"


def distance_rows(results: AttributionResults) -> list[tuple[str, ...]]:
    """AD-KD's own term: the heads, and a row for each term and student, as means over seeds ± standard deviation."""
    rows: list[tuple[str, ...]] = [("trained on it", "student", "distance of maps", "untrained student", "texts")]
    for trained, student in dict.fromkeys((row.taught, row.student) for row in results.map_distances):
        found = [row for row in results.map_distances if (row.taught, row.student) == (trained, student)]
        terms = (
            [row.distance for row in found if row.baseline == baseline]
            for baseline in ("measured", "untrained_student")
        )
        rows.append((trained, student, *map(_spread, terms), str(found[0].texts)))
    return rows


def _attribution(results: AttributionResults, summary: StudentSummary) -> tuple[str, ...]:
    seeds = {row.seed for row in results.agreement} if summary.seed is None else {summary.seed}
    first = [r for r in results.agreement if r.student == summary.name and r.seed in seeds and r.layer == 0]
    own, chance, untrained = (
        [row for row in first if row.baseline == baseline]
        for baseline in ("measured", "random_map", "untrained_student")
    )
    faithful = [
        r for r in results.faithfulness if r.model == summary.name and r.seed in seeds and r.baseline == "measured"
    ]
    return (
        _estimates([row.cosine for row in own]),
        _number(mean_over_seeds([row.cosine.mean for row in chance])),
        _number(mean_over_seeds([row.cosine.mean for row in untrained])),
        _number(mean_over_seeds([row.spearman.mean for row in own])),
        _number(mean_over_seeds([row.overlap.mean for row in own])),
        *_faithful(faithful),
    )


def _faithful(rows: Sequence[FaithfulnessRow]) -> tuple[str, str, str]:
    return (
        _number(mean_over_seeds([row.normalised_comprehensiveness.mean for row in rows])),
        _number(mean_over_seeds([row.normalised_sufficiency.mean for row in rows])),
        _number(mean_over_seeds([row.normalised_random.mean for row in rows])),
    )


def _behaviour(summary: StudentSummary) -> list[str]:
    levels = summary.aligned
    seed = "mean" if summary.seed is None else str(summary.seed)
    shown = _with_interval(levels.iia_effective, levels.low, levels.high)
    return [summary.name, seed, _number(summary.task_metric), shown]


def _estimates(found: Sequence[Estimate]) -> str:
    """One value with its interval, or the mean of several values, without an interval."""
    if len(found) == 1:
        return _with_interval(found[0].mean, found[0].low, found[0].high)
    return _number(mean_over_seeds([each.mean for each in found]))


def _spread(terms: Sequence[float]) -> str:
    spread = sd_over_seeds(terms)
    return _digits(sum(terms) / len(terms)) + ("" if spread is None else f" ± {_digits(spread)}")


def _digits(value: float) -> str:
    """The value with enough digits to distinguish maps of masked LMs, which are nearly those of one token."""
    return f"{value:.2e}" if 0 < value < _SMALL else f"{value:.4f}"


def _with_interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return _number(value)
    return f"{_number(value)} ({_number(low)} to {_number(high)})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".replace("-", "−")
