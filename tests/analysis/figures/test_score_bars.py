import dataclasses

import pytest

from analysis.figures.score_bars import bar_groups, key_to
from causalkd.reporting.standing import standing
from tests.example_report import example_report
from tests.two_sites import two_sites


def test_bars_are_the_numbers_of_the_verdict():
    report = example_report()
    aligned, other = bar_groups(report)
    assert (aligned.title, other.title) == (
        "At the aligned site",
        "On average over 3 of 5 other sites",
    )
    assert (aligned.which, other.which) == (
        "",
        "that have at least 30 effective pairs (360 to 420, each counted alike)",
    )
    for group, kind in ((aligned, "aligned"), (other, "other")):
        for bar in group.bars:
            found = standing(report, bar.name, kind)
            assert (bar.value, bar.baseline, bar.points) == (found.accuracy, found.baseline, found.levels)
            assert (bar.low, bar.high) == (min(bar.points), max(bar.points))
            assert bar.certainty == f"sd {100 * found.spread:.1f} over 3 seeds"
    assert [bar.note for bar in aligned.bars] == ["not trained here", "trained here"]
    assert [bar.note for bar in other.bars] == ["", ""]
    assert aligned.bars[1].meaning == (
        "diito: effective IIA 88.8% (lowest and highest seed 87.7% to 89.8%); best baseline 55.8% (majority class)"
    )


def test_one_seed_has_its_interval_and_no_points():
    (bar,) = bar_groups(example_report(("kd",), seeds=1))[0].bars
    assert bar.points == () and bar.low < bar.value < bar.high and "95% interval" in bar.meaning
    assert bar.certainty == f"{100 * bar.low:.1f}% to {100 * bar.high:.1f}%"


def test_the_key_explains_only_what_is_drawn():
    single, several = (key_to(bar_groups(example_report(("kd",), seeds=seeds))) for seeds in (1, 2))
    assert "95% interval" in single and "seed" not in single
    assert "one seed" in several and "interval" not in several
    none = two_sites(lambda *_: 0.9, effective=0)
    assert key_to(bar_groups(none)) == "A bar is effective IIA."


@pytest.mark.parametrize("effective", [0, 29])
def test_too_few_pairs_have_no_bar(effective):
    aligned, other = bar_groups(two_sites(lambda *_: 0.9, effective=effective))
    assert aligned.title == "At aligned sites: fewer than 30 effective pairs" and aligned.bars == other.bars == ()


def test_a_diverged_student_has_neither_bar_nor_interval():
    report = two_sites(lambda *_: 0.9)
    rows = tuple(dataclasses.replace(row, iia_effective=float("nan")) for row in report.interchange)
    bar = bar_groups(dataclasses.replace(report, interchange=rows))[0].bars[0]
    assert (bar.value, bar.low, bar.high, bar.baseline) == (None, None, None, None)


def test_sites_without_enough_pairs_are_not_said_to_have_them():
    groups = bar_groups(two_sites(lambda *_: 0.7, effective=5))
    assert [(group.title, group.which) for group in groups] == [
        ("At aligned sites: fewer than 30 effective pairs", ""),
        ("At other sites: fewer than 30 effective pairs", ""),
    ]


def test_what_all_students_have_in_common_is_said_once():
    (aligned, _) = bar_groups(example_report(("one", "two", "three")))
    assert aligned.which == "no student was trained here" and {bar.note for bar in aligned.bars} == {""}
    (bar,) = bar_groups(example_report(("one",)))[0].bars
    assert bar.note == "not trained here"
