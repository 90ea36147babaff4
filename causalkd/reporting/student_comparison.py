"""A comparison of students: whether their steps or compute were equal, and how their accuracies differ."""

from collections.abc import Callable

from causalkd.reporting.tables import trained_on_maps
from causalkd.verification.results.report import DifferenceRow, StudentResult, VerificationReport
from causalkd.verification.statistics.aggregate import mean, sd
from causalkd.verification.statistics.evidence import is_sure
from causalkd.verification.statistics.permutation import FEW_PAIRS

_EQUAL = 0.01
"""Costs that differ by less than this share are called equal."""


def budget(report: VerificationReport, student: str, reference: str) -> str:
    """The training of the two compared students: at equal steps, at equal compute, or in what ratio.

    Compute is counted in block-forwards, of teacher and student together, and is not compared if they leave something
    out; both numbers are means over the seeds.
    """
    steps = _ratio(report, student, reference, lambda result: result.steps)
    compute = _ratio(report, student, reference, _compute)
    equal = [f"equal {word}" for word, ratio in (("steps", steps), ("compute", compute)) if _is_equal(ratio)]
    if equal:
        return f"at {' and '.join(equal)}"
    if compute is not None:
        return f"at {compute:.2f} times the compute"
    return "costs not counted" if steps is None else f"at {steps:.2f} times the steps"


def comparisons(report: VerificationReport) -> dict[tuple[str, str], list[DifferenceRow]]:
    """The differences of effective IIA between two students, of all seeds and aligned sites, by their names."""
    found: dict[tuple[str, str], list[DifferenceRow]] = {}
    for row in report.differences:
        if row.student != row.reference and row.measure == "iia_effective":
            found.setdefault((row.student, row.reference), []).append(row)
    return found


def reference_sentences(report: VerificationReport) -> tuple[str, ...]:
    """One sentence for each two compared students: the difference of effective IIA at aligned sites and its tests."""
    return tuple(_sentence(report, *names, rows) for names, rows in comparisons(report).items())


def _sentence(report: VerificationReport, student: str, reference: str, rows: list[DifferenceRow]) -> str:
    seeds = sorted({row.seed for row in rows})
    by_seed = [mean(row.difference for row in rows if row.seed == seed) for seed in seeds]
    spread = sd(by_seed)
    higher, lower = (_surely(report, rows, sign) for sign in (1, -1))
    return (
        f"{student} − {reference}, {budget(report, student, reference)}: {mean(by_seed):+.3f}"
        f"{'' if spread is None else f' ± {spread:.3f}'}; by more than chance higher in {higher} and lower "
        f"in {lower} of {len(rows)} comparison{'' if len(rows) == 1 else 's'}{_few(rows)}."
    )


def _few(rows: list[DifferenceRow]) -> str:
    """A clause with the number of comparisons on so few pairs that nothing is concluded; empty if there are none."""
    few = sum(row.pairs < FEW_PAIRS for row in rows)
    if not few:
        return ""
    which = "," if few == len(rows) else f"; {few} of them"
    return f"{which} on fewer than {FEW_PAIRS} effective pairs, from which nothing is concluded"


def _surely(report: VerificationReport, rows: list[DifferenceRow], sign: int) -> int:
    return sum(row.difference * sign > 0 and is_sure(report, row) for row in rows)


def _compute(result: StudentResult) -> float | None:
    """The block-forwards of a training; None if it trained on maps or on written sequences, which they leave out."""
    return None if result.generator is not None or trained_on_maps([result]) else result.block_forwards


def _ratio(
    report: VerificationReport, student: str, reference: str, cost: Callable[[StudentResult], float | None]
) -> float | None:
    """The student's mean cost divided by the reference's; None if one of them is not known for every seed."""
    costs = [[cost(each) for each in report.students if each.name == name] for name in (student, reference)]
    known = [[value for value in values if value is not None] for values in costs]
    if known != costs:
        return None
    own, other = (sum(values) / len(values) for values in known)
    return own / other


def _is_equal(ratio: float | None) -> bool:
    return ratio is not None and abs(ratio - 1) < _EQUAL
