"""Reports of two sites, the first of them aligned, whose accuracies a test chooses."""

import dataclasses
from itertools import product

from causalkd.verification.results.interchange_rows import DifferenceRow
from causalkd.verification.results.report import StudentResult
from tests.example_report import example_report

BASELINES = ("measured", "majority_class", "permuted_source")


def two_sites(accuracies, q=0.001, effective=200, students=("student",), seeds=(0,), reachable=True):
    """A report of two sites, the first of them aligned; `accuracies(student, seed, aligned)` gives the accuracy."""
    plain = example_report()
    row = plain.interchange[0]
    rows = []
    for name, seed, (place, baseline) in product(students, seeds, product((0, 1), BASELINES)):
        value = {"measured": accuracies(name, seed, place == 0), "majority_class": 0.5, "permuted_source": 0.3}[
            baseline
        ]
        rows.append(
            dataclasses.replace(
                row, student=name, seed=seed, baseline=baseline, teacher_layer=place, student_layer=0,
                aligned=place == 0,
                reachable=reachable, iia_effective=value, iia_effective_low=value - 0.05,
                iia_effective_high=value + 0.05, effective_pairs=effective,
                q_value=None if baseline == "measured" else q,
            )
        )  # fmt: skip
    results = tuple(StudentResult(name, {}, seed, 0.9, 0.9) for name, seed in product(students, seeds))
    return dataclasses.replace(plain, students=results, interchange=tuple(rows), differences=())


def at_another_layer(report, accuracy, q):
    """The report with the intervention at another layer beside every measurement; `accuracy(student, seed)`."""
    moved = [
        dataclasses.replace(row, baseline="wrong_layer", iia_effective=accuracy(row.student, row.seed), q_value=q)
        for row in report.interchange
        if row.baseline == "measured"
    ]
    return dataclasses.replace(report, interchange=(*report.interchange, *moved))


def compared(report, difference, q=0.001, reference="kd"):
    """The report with every other student compared with the reference at the aligned site; `difference(name, seed)`.

    The intervals do not hold 0 where q is below 0.05.
    """
    half = 0.9 if q < 0.05 else 1.1
    rows = tuple(
        DifferenceRow(
            each.name, each.seed, reference, "measured", "premise", 0, 0, "iia_effective", 200,
            (found := difference(each.name, each.seed)), found - half * abs(found), found + half * abs(found), q, q,
        )
        for each in report.students
        if each.name != reference
    )  # fmt: skip
    return dataclasses.replace(report, differences=rows)
