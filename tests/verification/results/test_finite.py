"""Numbers that are none become null and are named; rows that need a number are left out and named."""

import dataclasses
import math

import pytest

from causalkd.verification.results.finite import finite, finite_or_none
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.results.teaching import ModeText, StudentModes, TeachingResults
from tests.example_maps import example_results
from tests.example_report import example_report


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_report_with_what_is_no_number_is_written_and_says_so(value: float) -> None:
    report = example_report()
    students = (dataclasses.replace(report.students[0], task_metric=value), *report.students[1:])
    rows = (dataclasses.replace(report.interchange[0], kl=value), *report.interchange[1:])
    differences = (dataclasses.replace(report.differences[0], low=value), *report.differences[1:])
    broken = dataclasses.replace(report, students=students, interchange=rows, differences=differences)
    assert (broken.students[0].task_metric, broken.interchange[0].kl) == (None, None)
    assert broken.differences == report.differences[1:]
    assert broken.not_finite == (
        f"name kd, seed 0: task_metric is {value}",
        f"student kd, seed 0, baseline measured, pair grid:premise, teacher_layer 0, student_layer 0: kl is {value}",
        f"student diito, seed 0, baseline measured, pair premise, teacher_layer 1, student_layer 0: low is {value}, "
        "and its row is left out",
    )
    assert VerificationReport.from_json(broken.to_json()) == broken


def test_a_number_inside_of_attribution_results() -> None:
    results = example_results()
    estimate = dataclasses.replace(results.agreement[0].cosine, mean=math.nan)
    agreement = (dataclasses.replace(results.agreement[0], cosine=estimate), *results.agreement[1:])
    names: list[str] = []
    cleared = finite(dataclasses.replace(results, agreement=agreement), names)
    assert cleared.agreement[0].cosine.mean is None
    assert names == ["student kd, seed 0, baseline measured: cosine: mean is nan"]


def test_a_row_with_numbers_in_a_list_is_left_out_with_a_line() -> None:
    texts = [ModeText(("a", "b"), (0, 1), (value, 0.2), (True, False)) for value in (0.1, math.nan)]
    modes = TeachingResults(0.5, tuple(texts), (StudentModes("kd", 0, 0.1, 0.1, 0.1, ()),))
    names: list[str] = []
    assert finite(modes, names).texts == modes.texts[:1]
    assert names == ["uncertainty has values that are not finite, and its row is left out"]


def test_numbers_stay_the_same_object() -> None:
    names: list[str] = []
    report = example_report()
    assert finite(report.interchange, names) is report.interchange
    assert names == [] and report.not_finite == ()
    assert "not_finite" not in report.to_json()


@pytest.mark.parametrize(("value", "told"), [(None, None), (math.nan, None), (math.inf, None), (0.5, 0.5)])
def test_a_number_as_json_can_hold_it(value: float | None, told: float | None) -> None:
    assert finite_or_none(value) == told
