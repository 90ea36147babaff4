import dataclasses

import pytest

from causalkd.reporting.headline import headline
from causalkd.reporting.student_comparison import budget, comparisons, reference_sentences
from causalkd.verification.results.report import StudentResult, VerificationReport
from tests.example_report import example_report

COSTS = {"kd": (1000, 3.0e6), "kd-steps": (750, 2.25e6), "diito": (750, 3.0e6), "long": (1500, 6.0e6)}


@pytest.fixture(scope="module")
def report():
    plain = example_report(tuple(COSTS), seeds=3)
    students = tuple(
        dataclasses.replace(s, steps=COSTS[s.name][0], block_forwards=COSTS[s.name][1]) for s in plain.students
    )
    return dataclasses.replace(plain, students=students)


@pytest.mark.parametrize(
    ("student", "reference", "words"),
    [
        ("diito", "kd", "at equal compute"),
        ("diito", "kd-steps", "at equal steps"),
        ("diito", "diito", "at equal steps and equal compute"),
        ("long", "kd", "at 2.00 times the compute"),
        ("kd-steps", "kd", "at 0.75 times the compute"),
    ],
)
def test_which_reference_had_as_much_of_what(report, student, reference, words):
    assert budget(report, student, reference) == words


@pytest.mark.parametrize("uncounted", [{"objectives": {"response_kd": 1.0, "adkd": 1.0}}, {"generator": "student"}])
def test_compute_is_not_compared_where_block_forwards_leave_something_out(report, uncounted):
    students = [dataclasses.replace(s, **uncounted) if s.name == "diito" else s for s in report.students]
    found = dataclasses.replace(report, students=tuple(students))
    assert budget(found, "diito", "kd-steps") == budget(found, "diito", "diito") == "at equal steps"
    assert budget(found, "diito", "kd") == budget(found, "kd-steps", "kd").replace("compute", "steps")
    assert budget(found, "long", "kd") == "at 2.00 times the compute"
    assert VerificationReport.from_json(found.to_json()) == found


def test_costs_that_nobody_counted_are_called_that(report):
    students = (*report.students[:-1], StudentResult("long", {}, 2, None, None))
    unknown = dataclasses.replace(report, students=students)
    assert budget(unknown, "long", "kd") == "costs not counted"
    assert budget(unknown, "diito", "kd") == "at equal compute"


def test_the_sentences_count_what_the_headline_calls_sure():
    """Of three compared students, q = 0.02 is 0.06 once more adjusted."""
    report = example_report(("a", "b", "c", "d"), seeds=1, gain=0.08)
    for q, count in ((0.02, 0), (0.01, 1)):
        rows = tuple(dataclasses.replace(row, q_value=q) for row in report.differences)
        found = dataclasses.replace(report, differences=rows)
        assert all(f"higher in {count} and" in sentence for sentence in reference_sentences(found))
        assert ("it is not shown to score higher than a" in headline(found)) is (count == 0)


def test_a_sentence_for_each_two_students_counts_what_is_more_than_chance(report):
    rows = [row for row in report.differences if row.student == "diito"]
    beside = [dataclasses.replace(row, reference="kd-steps", difference=-0.1, q_value=0.2) for row in rows]
    beside[1] = dataclasses.replace(beside[1], q_value=0.01)
    found = dataclasses.replace(report, differences=(*rows, *beside))
    assert list(comparisons(found)) == [("diito", "kd"), ("diito", "kd-steps")]
    assert reference_sentences(found) == (
        "diito − kd, at equal compute: +0.220 ± 0.020; "
        "by more than chance higher in 3 and lower in 0 of 3 comparisons.",
        "diito − kd-steps, at equal steps: -0.100 ± 0.000; "
        "by more than chance higher in 0 and lower in 1 of 3 comparisons.",
    )
    assert reference_sentences(dataclasses.replace(report, differences=())) == ()
    few = [dataclasses.replace(row, pairs=29) for row in rows]
    mixed = (dataclasses.replace(report, differences=tuple(each)) for each in (few, [*few[:1], *rows[1:]]))
    every, one = (reference_sentences(each)[0] for each in mixed)
    assert every.endswith("of 3 comparisons, on fewer than 30 effective pairs, from which nothing is concluded.")
    assert "of 3 comparisons; 1 of them on fewer than 30" in one
