import dataclasses
import html as html_module
import itertools
import re
from html.parser import HTMLParser

import pytest
from markupsafe import Markup

from analysis.pages.report_page import Picture, render
from analysis.pages.sorting import sorting
from causalkd.reporting.explanation import explanation, not_concluded
from causalkd.reporting.tables import learning_maps, no_numbers
from causalkd.reporting.verdict import verdict
from causalkd.verification.results.report import TeacherResult
from causalkd.verification.results.rows import GroundTruthRow, Mismatch, OffDistributionRow, TaskScoreRow
from tests.example_maps import example_distances, example_maps, example_results
from tests.example_report import example_metrics, example_report
from tests.example_teaching import example_teaching


class _Page(HTMLParser):
    """Counts tags, checks that they close, and collects what a browser would fetch."""

    EMPTY = ("meta", "link", "img", "br", "hr", "input", "use", "path", "image", "rect", "line", "stop")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.fetched, self.ids = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "data", "srcset") and not str(value).startswith(("#", "data:")):
                self.fetched.append(value)
            if name == "id":
                self.ids.append(value)
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report():
    return example_report()


@pytest.fixture(scope="module")
def small():
    return example_report(("kd",), seeds=1, layers=(2, 1), trained=(0, 0))


@pytest.fixture(scope="module")
def html(report):
    return render(report, example_metrics(report))


@pytest.fixture
def words_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the figures, which take most of a page's time, where a test looks at words and tables alone."""
    monkeypatch.setattr("analysis.pages.report_page._picture", lambda name, draw, caption: Picture(Markup(), caption))


def test_the_page_is_whole_and_fetches_nothing(html):
    page = _Page(html)
    assert page.open == []
    assert page.fetched == [] and page.tags.count("script") == 1 and "link" not in page.tags
    assert f"<script>{sorting()}</script>" in html
    assert "@import" not in html and not re.findall(r"url\((?!#)", html)
    assert len(page.ids) == len(set(page.ids))


def test_it_has_the_table_the_maps_and_the_curves(html):
    assert _Page(html).tags.count("svg") == 8  # 2 stacks, scores, 2 maps for each of 2 measures, curves
    for words in (
        "diito",
        "all 3",
        "+0.240",
        "What each number means",
        "student layer (block_output)",
        "training step",
    ):
        assert words in html
    assert "2.13.0+cpu" in html and "sdpa" in html and "policy: segments" in html


def test_curves_leave_the_teacher_out_and_the_same_results_give_the_same_page(small):
    rows = example_metrics(small)
    teacher = [{"student": "teacher", "seed": 0, "step": 1, "loss": 1.0, "term/own": 1.0}]
    assert render(small, [*teacher, *rows]) == render(small, rows)
    assert "training step" not in render(small, teacher)


def test_every_site_is_in_the_table(report, html):
    cells = sum(row.baseline == "measured" for row in report.interchange)
    assert f"Every site ({cells})" in html
    assert html.count("unreachable</td>") == sum(
        not r.reachable and r.baseline == "measured" for r in report.interchange
    )


def test_single_pairs_without_metrics_give_a_page_without_maps_and_curves(report):
    single = dataclasses.replace(report, interchange=tuple(row for row in report.interchange if row.aligned))
    html = render(single)
    assert _Page(html).tags.count("svg") == 3 and "training step" not in html


@pytest.mark.usefixtures("words_only")
def test_names_are_text_not_markup(small):
    named = dataclasses.replace(small, teacher=TeacherResult("<script>x</script>", "classification", "f1", None))
    html = render(named)
    assert "<script>x" not in html and "&lt;script&gt;" in html


@pytest.mark.usefixtures("words_only")
def test_the_planted_causal_model_has_a_table_where_it_is_known():
    report = example_report(seeds=1)
    assert "own causal model" not in render(report)
    row = GroundTruthRow(
        *("teacher", None, "noun_relation", "block_output", 0, "premise"),
        *(0.9, 0.8125, 0.7, 0.9, 64, 200),
        baselines={"no_intervention": 0.0, "majority_class": 0.525},
        p_value=0.001,
        q_value=0.002,
    )
    below = dataclasses.replace(row, layer=1, iia_effective=0.4)
    page = render(dataclasses.replace(report, ground_truth=(row, below)))
    assert "noun relation" in page and "teacher, positions of" in page
    assert "<b>0.812</b>" in page and "<b>0.400</b>" not in page and "0.525" in page


@pytest.mark.usefixtures("words_only")
def test_the_page_begins_with_what_the_numbers_allow_to_be_said():
    page = render(example_report())
    first = html_module.unescape(page[: page.index("<nav")])
    assert all(sentence in first for sentence in (*verdict(example_report()), *explanation(example_report())))
    assert "You may not conclude" in first and all(each in first for each in not_concluded(example_report()))
    assert first.count("the level to beat") == 1, "in the legend; the text has it at the beginning of a sentence"
    assert "always guessing the commonest prediction" in first
    assert "not trained here" in first and "sd 1.1 over 3 seeds" in first and "±" not in first


def test_no_backticks_are_left_and_what_is_subtracted_is_told(html):
    glossary = html.split('<h2 id="meaning">')[1]
    assert "`" not in glossary and "<code>causalkd search --rank</code>" in glossary
    assert "itself counted on all pairs" in html and "itself counted on effective pairs" in html


@pytest.mark.usefixtures("words_only")
def test_departures_are_reported_pair_by_pair():
    report = example_report(seeds=1)
    telling = Mismatch(
        *("diito", 0, "premise", "every dog runs", "no dog <runs>", (("every", "no"),)),
        *("entailment", "contradiction", "entailment", "entailment", 0.97, 0.02, 3.4),
    )
    page = render(dataclasses.replace(report, mismatches=(telling,)))
    assert "Where students do not follow the teacher" in page and "every → no" in page and "no dog &lt;runs&gt;" in page
    assert "entailment → contradiction (0.970)" in page and "stays entailment (0.020 for contradiction)" in page
    assert "Where students do not follow the teacher" not in render(report)


@pytest.mark.usefixtures("words_only")
def test_distances_and_specificity_are_told_where_they_were_measured():
    report = example_report(seeds=1)
    assert "Are the states realistic?" not in render(report)
    far = OffDistributionRow("diito", 0, "premise", clean=0.5, intervened=1.25, beyond=0.372, pairs=1200)
    specific = tuple(dataclasses.replace(row, specificity=0.912) for row in report.interchange)
    page = render(dataclasses.replace(report, off_distribution=(far,), interchange=specific))
    assert (
        "Are the states realistic?" in page and "<td>1.25</td><td>0.372</td>" in page and "off-distribution.csv" in page
    )
    assert page.count("<td>0.912</td>") >= len(report.students)


def test_heads_have_maps_where_they_were_compared(small):
    rows = [row for row in small.interchange if row.baseline in ("measured", "majority_class") and row.aligned]
    heads = tuple(
        dataclasses.replace(row, unit="h.pos", head=t, student_head=s, aligned=False, reachable=True)
        for row, t, s in itertools.product(rows, range(3), range(2))
    )
    page = render(dataclasses.replace(small, heads=heads))
    assert "teacher head (layer 0)" in page and "student head (layer 0)" in page and "heads.csv" in page
    assert "teacher head" not in render(small)


def test_the_page_says_which_reference_had_as_much(report, html):
    assert "diito − kd, at equal compute: +0.220" in html


def test_attribution_maps_have_a_part_of_their_own(small, html):
    assert "Which tokens the predictions depend on" not in html and "compare these students by" not in html
    student = dataclasses.replace(small.students[0], objectives={"response_kd": 1.0, "adkd": 10.0})
    assert learning_maps([student])[0] in render(dataclasses.replace(small, students=(student,)))
    report = dataclasses.replace(small, students=(student,), attribution=example_results(("kd",), seeds=1))
    maps = {name: example_maps(seed=seed)[0] for seed, name in enumerate(("teacher", "kd-seed0"))}
    html = render(report, maps=maps)
    page = _Page(html)
    assert page.open == [] and page.fetched == [] and len(page.ids) == len(set(page.ids))
    assert page.tags.count("svg") == 7  # the student beside the teacher, scores, four maps, agreement
    assert html.count('type="radio"') == 3 and html.count('class="view"') == 3 and html.count(" checked>") == 1
    assert "Explained: <bdi>contradiction</bdi>" in html and ">word0</span>" in html
    for words in ("every class: entailment", "0.350 to 0.450", "kd (untrained)", "random order", "attention", "sdpa"):
        assert words in html
    assert "AD-KD's own term" not in html
    learned = dataclasses.replace(report.attribution, map_distances=example_distances(("kd",), seeds=1))
    again = render(dataclasses.replace(report, attribution=learned), maps=maps)
    assert _Page(again).open == [] and "<td>0.0500</td><td>0.4000</td><td>128</td>" in again
    assert "AD-KD's own term" in again and "map-distances.csv" in again
    assert "were trained with eager attention" in html and "compare these students by their seconds" in html


def test_teaching_modes_have_a_part_of_their_own(small):
    taught = dataclasses.replace(example_results(("kd",), seeds=1), teaching=example_teaching(("kd",), seeds=1))
    without, page = (
        render(dataclasses.replace(small, attribution=each)) for each in (example_results(("kd",), seeds=1), taught)
    )
    assert "The teaching mode of each token" not in without
    assert _Page(page).open == [] and "over 5 labelled tokens of 3 training texts" in page
    assert page.count('aria-label="Teaching modes: ') == 2 and "Blue tokens are easy" in page
    assert page.count('name="teaching-view"') == 3 and 'title="hard, uncertainty 0.750">ann</span>' in page
    assert "<b>TKD</b>" in page and "<td>0.500</td><td>10</td>" in page


def test_a_figure_that_cannot_be_drawn_stops_no_report(report, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise RuntimeError("no <font> for this\nand more")

    monkeypatch.setattr("analysis.pages.report_page.site_scores", broken)
    page = render(report, example_metrics(report))
    _Page(page)
    told = "This figure could not be drawn (RuntimeError: no &lt;font&gt; for this). The numbers are in the tables."
    assert page.count(told) == 1
    assert page.count("<svg") > 3


def test_every_section_opens_with_a_sentence_and_stands_in_the_contents(report, html):
    anchors = re.findall(r'<h2 id="([a-z_]+)">', html)
    assert re.findall(r'<li><a href="#([a-z_]+)">', html) == anchors
    for anchor in anchors[:-2]:  # the last two explain the numbers and how they were made
        after = html.split(f'<h2 id="{anchor}">')[1]
        assert '<p class="finding">' in after[:400], anchor


@pytest.mark.usefixtures("words_only")
def test_the_certainty_of_the_task_metric_has_its_tables(small):
    scores = (TaskScoreRow("teacher", None, 0.91, 0.88, 0.93), TaskScoreRow("kd", 0, 0.9, 0.87, 0.92))
    page = render(dataclasses.replace(small, task_scores=scores))
    assert _Page(page).open == [] and "<td>0.880–0.930</td>" in page and "Task metric with its 95 % interval" in page
    assert "Task metric with its" not in render(small)


def test_cells_have_tooltips_with_their_exact_numbers(report, html):
    row = next(r for r in report.interchange if r.aligned and r.student == "diito" and r.seed == 0)
    assert f"<title>diito, teacher 1, student 0: effective IIA {row.iia_effective:.4f} on 360 pairs" in html


@pytest.mark.parametrize("name", ["$$", "$\\frac{$", "a$x^2$b", "_{$\\$"])
def test_dollars_are_no_mathematics(small, name: str):
    students = [dataclasses.replace(each, name=each.name.replace("kd", name)) for each in small.students]
    rows = [dataclasses.replace(row, student=row.student.replace("kd", name)) for row in small.interchange]
    renamed = dataclasses.replace(
        small, students=tuple(students), interchange=tuple(rows), differences=(), attribution=None, heads=()
    )
    page = render(renamed)
    _Page(page)
    assert "could not be drawn" not in page
    assert f">{name}<" in page.replace("\n", "") or name in page


@pytest.mark.usefixtures("words_only")
def test_a_report_that_compares_no_effective_iia_has_its_table_of_differences(report):
    rows = tuple(dataclasses.replace(row, measure="iia") for row in report.differences)
    page = render(dataclasses.replace(report, differences=rows))
    assert "Seed by seed" in page and not _Page(page).open


@pytest.mark.usefixtures("words_only")
def test_what_gave_no_finite_number_is_listed_as_the_verdict_says(small):
    lost = dataclasses.replace(small.students[0], task_metric=float("nan"))
    report = dataclasses.replace(small, students=(lost,))
    assert any("they are listed below" in sentence for sentence in verdict(report))
    (line,) = no_numbers(report)
    page = html_module.unescape(render(report))
    assert line in page.split("<nav")[1] and "Measurements without a finite number" not in render(small)
