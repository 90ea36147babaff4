import dataclasses

import pytest

from analysis.score_bars import bar_groups
from causalkd.reporting.standing import standing
from tests.example_report import example_report
from tests.two_sites import two_sites


def test_bars_are_the_numbers_of_the_verdict():
    report = example_report()
    aligned, other = bar_groups(report)
    assert (aligned.title, other.title) == ("At the aligned site", "At 3 other sites")
    for group, kind in ((aligned, True), (other, False)):
        for bar in group.bars:
            found = standing(report, bar.name, kind)
            assert (bar.value, bar.baseline, bar.points) == (found.accuracy, found.baseline, found.levels)
            assert (bar.low, bar.high) == (min(bar.points), max(bar.points))
    assert aligned.bars[1].meaning == (
        "diito: effective IIA 88.8% (lowest and highest seed 87.7% to 89.8%); best baseline 55.8% (majority class)"
    )


def test_one_seed_has_its_interval_and_no_points():
    (bar,) = bar_groups(example_report(("kd",), seeds=1))[0].bars
    assert bar.points == () and bar.low < bar.value < bar.high and "95% interval" in bar.meaning


@pytest.mark.parametrize("effective", [0, 29])
def test_too_few_pairs_have_no_bar(effective):
    aligned, other = bar_groups(two_sites(lambda *_: 0.9, effective=effective))
    assert aligned.title == "At aligned sites: fewer than 30 effective pairs" and aligned.bars[0].value is None
    assert other.bars[0].meaning == "student: no value was measured"


def test_a_diverged_student_has_neither_bar_nor_interval():
    report = two_sites(lambda *_: 0.9)
    rows = tuple(dataclasses.replace(row, iia_effective=float("nan")) for row in report.interchange)
    bar = bar_groups(dataclasses.replace(report, interchange=rows))[0].bars[0]
    assert (bar.value, bar.low, bar.high, bar.baseline) == (None, None, None, None)
