import dataclasses
from itertools import product

import pytest

from causalkd.reporting.verdict import standing, student_sentences, verdict
from causalkd.verification.results.report import StudentResult
from tests.example_report import example_report

BASELINES = ("measured", "majority_class", "permuted_source")


def _report(accuracies, q=0.001, effective=200, students=("student",), seeds=(0,), reachable=True):
    """A report of two sites, the first of them trained; `accuracies(student, seed, trained)` gives the accuracy."""
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
                reachable=reachable, iia_effective=value, iia_effective_low=value - 0.05, effective_pairs=effective,
                q_value=None if baseline == "measured" else q,
            )
        )  # fmt: skip
    results = tuple(StudentResult(name, {}, seed, 0.9, 0.9) for name, seed in product(students, seeds))
    return dataclasses.replace(plain, students=results, interchange=tuple(rows), differences=())


@pytest.mark.parametrize(
    "report",
    [
        _report(lambda *_: 0.4),  # below the best guess
        _report(lambda *_: 0.55, q=0.2),  # above it, but that may be chance
        _report(lambda name, seed, trained: 0.9 if seed == 0 else 0.5, seeds=(0, 1)),  # in one seed of two
    ],
)
def test_a_student_within_its_controls_is_no_evidence_of_abstraction(report):
    first, *_ = verdict(report)
    assert first == "There is no evidence of abstraction: at none of 2 sites is student above its controls."


def test_evidence_at_trained_sites_alone_is_said_to_be_trained():
    report = _report(lambda name, seed, trained: 0.8 if trained else 0.4)
    first, *rest = verdict(report)
    assert first == (
        "There is evidence of abstraction only at sites that an objective of this run trained: "
        "student is above its controls at 1 of 1 trained site."
    )
    assert student_sentences(report) == (
        "student: 0.800 of effective pairs at 1 trained site (best control 0.500), above its controls at 1; "
        "0.400 of effective pairs at 1 untrained site (best control 0.500), above its controls at 0.",
    )
    assert rest == ["One seed: this says something of these weights, not yet of the way they were trained."]


def test_untrained_sites_are_the_evidence_and_only_the_students_that_have_it_are_named():
    accuracies = {"kd": 0.4, "diito": 0.8}
    report = _report(lambda name, *_: accuracies[name], students=("kd", "diito"), seeds=(0, 1, 2))
    (first,), (kd, diito) = verdict(report), student_sentences(report)
    assert first == (
        "There is evidence of abstraction at sites that no objective saw: "
        "diito is above its controls at 1 of 1 untrained site."
    )
    assert kd.startswith("kd: 0.400 ± 0.000 of effective pairs") and "above its controls at 1" in diito


def test_few_pairs_and_unreachable_sites_say_nothing():
    for report in (_report(lambda *_: 1.0, effective=29), _report(lambda *_: 1.0, reachable=False)):
        assert verdict(report)[0] == (
            "Nothing can be said about abstraction: no site that reaches the output has 30 effective pairs."
        )
    assert verdict(_report(lambda *_: 1.0, effective=29))[-1].startswith(
        "Few effective pairs: at 1 of 1 trained teacher sites"
    )


def test_a_control_that_explains_everything_is_not_exceeded_by_a_perfect_score():
    report = _report(lambda *_: 1.0)
    perfect = [
        dataclasses.replace(row, iia_effective=1.0, q_value=1.0) if row.baseline == "majority_class" else row
        for row in report.interchange
    ]
    assert "no evidence" in verdict(dataclasses.replace(report, interchange=tuple(perfect)))[0]


def test_reports_from_before_there_were_tests_are_judged_by_their_intervals():
    assert standing(_report(lambda *_: 0.56, q=None), "student", True).above == 1
    assert standing(_report(lambda *_: 0.54, q=None), "student", True).above == 0


def test_standing_in_numbers():
    found = standing(_report(lambda name, seed, trained: 0.7 + seed / 10, seeds=(0, 1)), "student", True)
    assert (found.sites, found.above, found.baseline) == (1, 1, 0.5)
    assert found.accuracy == pytest.approx(0.75) and found.spread == pytest.approx(0.05 * 2**0.5)


def _at_another_layer(report, accuracy, q):
    """The report with the exchange half the student's depth away beside every measurement; `accuracy(name, seed)`."""
    moved = [
        dataclasses.replace(row, baseline="wrong_layer", iia_effective=accuracy(row.student, row.seed), q_value=q)
        for row in report.interchange
        if row.baseline == "measured"
    ]
    return dataclasses.replace(report, interchange=(*report.interchange, *moved))


@pytest.mark.parametrize(
    ("accuracy", "q", "anywhere"),
    [
        (lambda *_: 0.3, 0.001, 0),
        (lambda *_: 0.78, 0.4, 1),  # less, but that may be chance
        (lambda *_: 0.95, 0.001, 1),  # better there
        (lambda name, seed: 0.8 if seed else 0.3, 0.001, 1),  # as good in one seed of two
    ],
)
def test_where_another_layer_does_as_well_the_verdict_says_so(accuracy, q, anywhere):
    report = _report(lambda name, seed, trained: 0.8 if trained else 0.4, seeds=(0, 1))
    report = _at_another_layer(report, accuracy, q)
    assert standing(report, "student", True).anywhere == anywhere
    assert standing(report, "student", False).anywhere == 0, "no evidence there that could be weakened"
    weakened = [sentence for sentence in verdict(report) if "depend on its layer" in sentence]
    assert weakened == anywhere * [
        "Not every such site is shown to depend on its layer: half the student's depth away the exchange is right at "
        "least as often, within chance, at 1 of 1 of student."
    ]


def test_only_students_that_do_as_well_elsewhere_are_named_as_such():
    report = _report(lambda *_: 0.8, students=("kd", "diito"))
    report = _at_another_layer(report, lambda name, _: {"kd": 0.9, "diito": 0.3}[name], 0.001)
    (said,) = (sentence for sentence in verdict(report) if "depend on its layer" in sentence)
    assert said.endswith("at 2 of 2 of kd.")
