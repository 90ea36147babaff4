import dataclasses

import pytest

from causalkd.reporting.run_comparison import compare
from causalkd.reporting.summary import summaries
from tests.example_report import example_report


def test_every_student_of_every_run_has_a_line():
    first, second = example_report(), example_report(("kd",), seeds=1)
    text = compare({"a": first, "b": second})
    heads, _, *lines = text.splitlines()
    assert heads.split()[0] == "run" and [line.split()[:3] for line in lines] == [
        ["a", "kd", "3"],
        ["a", "diito", "3"],
        ["b", "kd", "1"],
    ]
    mean = next(s for s in summaries(first) if s.name == "diito" and s.seed is None)
    assert f"{mean.aligned.iia_effective:.3f}" in lines[1] and f"{mean.task_metric:.3f}" in lines[1]


def test_runs_that_differ_in_what_they_are_measured_by_say_so():
    report = example_report()
    other = dataclasses.replace(report, teacher=dataclasses.replace(report.teacher, task_metric=0.5))
    assert "differ in their teachers." in compare({"a": report, "b": other})
    assert "differ" not in compare({"a": report, "b": report})


def test_one_run_is_nothing_to_compare():
    with pytest.raises(ValueError, match="1 report given"):
        compare({"a": example_report()})
