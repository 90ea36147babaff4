import dataclasses

from analysis.figures.site_scores import site_scores
from analysis.figures.style import to_svg
from tests.example_report import example_report


def test_axes_carry_names_units_and_n():
    aligned, other = site_scores(example_report()).axes
    assert {ax.get_xlabel() for ax in (aligned, other)} == {"effective IIA (share of effective predictions)"}
    assert aligned.get_title() == "aligned: 1 site, n = 360 effective pairs"
    assert other.get_title() == "other: 3 of 5 sites, n = 400 effective pairs a site"
    assert [label.get_text() for label in aligned.get_yticklabels()] == ["kd\n3 seeds", "diito\n3 seeds"]


def test_every_seed_is_a_point_with_its_interval_and_baselines():
    report = example_report()
    aligned, _ = site_scores(report).axes
    points = [line for line in aligned.get_lines() if line.get_marker() == "o"]
    lines = [line for line in aligned.get_lines() if len(line.get_xdata()) == 2]
    guesses = [line for line in aligned.get_lines() if line.get_marker() == "D"]
    assert (len(points), len(lines), len(guesses)) == (6, 6, 6)
    scores = {row.iia_effective for row in report.interchange if row.aligned and row.baseline == "measured"}
    assert {float(line.get_xdata()[0]) for line in points} == scores


def test_the_legend_names_the_baselines_that_are_drawn_as_the_tables_do():
    (legend,) = site_scores(example_report()).legends
    named = {text.get_text() for text in legend.get_texts()}
    assert {"majority class", "permuted source"} <= named and "random direction" not in named


def test_a_report_without_other_sites_says_so():
    report = example_report(seeds=1)
    pairs = tuple(row for row in report.interchange if row.aligned)
    assert site_scores(dataclasses.replace(report, interchange=pairs)).axes[1].get_title() == "other: none"


def test_the_same_report_gives_the_same_bytes():
    small = example_report(("kd",), seeds=1)
    assert to_svg(site_scores(small)) == to_svg(site_scores(small))
