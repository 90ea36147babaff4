import dataclasses

import pytest
from rich.cells import cell_len

from causalkd.reporting.summary import summaries
from causalkd.reporting.terminal import WIDTH, as_text
from causalkd.reporting.verdict import verdict
from causalkd.verification.results.baselines import BASELINES
from causalkd.verification.results.rows import TaskDifferenceRow, TaskScoreRow
from tests.example_report import example_report, full_report

LONG = "a-student-whose-name-is-forty-characters"


@pytest.fixture(scope="module")
def report():
    return example_report()


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("names", [("kd", "diito"), (LONG, f"{LONG}b"), ("طالب", "学生")])
def test_two_students_are_one_screen(seeds, names):
    report = example_report(names, seeds=seeds)
    scores = [TaskScoreRow("teacher", None, 0.91, 0.88, 0.93)]
    scores += [TaskScoreRow(name, seed, 0.91, 0.88, 0.93) for name in names for seed in range(seeds)]
    compared = [TaskDifferenceRow(names[1], seed, names[0], 0.0, -0.01, 0.01, 0.3, 2000) for seed in range(seeds)]
    for each in (report, dataclasses.replace(report, task_scores=tuple(scores), task_differences=tuple(compared))):
        lines = as_text(each).splitlines()
        assert len(lines) <= 40 and max(map(cell_len, lines)) <= WIDTH
        assert not any(line.endswith(" ") for line in lines)


def test_no_number_is_cut_where_the_columns_need_more_than_the_usual_width():
    report = example_report((LONG, f"{LONG}b"), seeds=1, pairs=120_000)
    seeded = {
        name: tuple(dataclasses.replace(row, seed=4_294_967_290) for row in getattr(report, name))
        for name in ("students", "interchange", "differences")
    }
    teacher = dataclasses.replace(report.teacher, metric="matthews_correlation")
    text = as_text(dataclasses.replace(report, teacher=teacher, **seeded))
    rows = [line.split() for line in text.splitlines() if " 4294967290 " in line]
    assert len(rows) == 2 and all(len(row) == 10 and "…" not in "".join(row[1:]) for row in rows)


def test_a_title_is_in_one_line_however_narrow_its_table(report):
    nothing = dataclasses.replace(
        report,
        interchange=tuple(row for row in report.interchange if row.baseline == "measured"),
        task_scores=(TaskScoreRow("teacher", None, 0.91, 0.88, 0.93),),
    )
    lines = as_text(nothing).splitlines()
    assert "Task metric with its 95 % interval over held-out rows" in lines
    assert not any(line.startswith("Baselin") for line in lines), "there are none, so no table of them"


def test_nine_students_of_three_seeds_are_shown_by_their_means():
    lines = as_text(example_report(tuple(f"student-{index}" for index in range(9)))).splitlines()
    assert sum(line.startswith("student-4 ") and "−" not in line for line in lines) == 2, (
        "once with its scores, once with its baselines"
    )
    assert max(map(cell_len, lines)) <= WIDTH


def test_it_opens_with_the_verdict_and_shows_what_a_claim_needs(report):
    text = as_text(report)
    whole = " ".join(text.split())
    assert whole.startswith(" ".join(" ".join(verdict(report)).split()))
    assert "diito − kd, seed 2, premise: +0.240 [+0.200, +0.290] on 480 effective pairs, p < 0.001" in whole
    assert "± 0.011" in whole and "Few effective" not in whole and "2 sites cannot reach the output" in whole
    (found,) = (summary for summary in summaries(report) if (summary.name, summary.seed) == ("diito", 0))
    (line,) = (line for line in text.splitlines() if line.split()[:2] == ["diito", "0"])
    for shown in (
        f"{found.aligned.iia_effective:.3f}",
        f"{found.aligned.low:.3f}–{found.aligned.high:.3f}",
        f"{found.aligned.best_baseline:.3f}",
        f"{found.other.iia_effective:.3f}",
    ):
        assert shown in line


def test_baselines_that_nobody_has_have_no_column(report):
    whole = " ".join(as_text(report).split())
    for name in ("no_intervention", "permuted_source", "majority_class", "untrained_student"):
        assert BASELINES[name].title.split()[0] in whole
    assert BASELINES["ceiling"].title not in whole


def test_the_heads_of_all_baselines_are_broken_between_words():
    report = example_report((LONG, "kd"), seeds=1)
    beside = [
        dataclasses.replace(row, baseline=name)
        for row in report.interchange
        if row.baseline == "majority_class" and row.aligned
        for name in BASELINES
    ]
    text = as_text(dataclasses.replace(report, interchange=(*report.interchange, *beside)))
    assert {"intervention", "direction", "ceiling"} <= set(text.split())
    assert max(map(cell_len, text.splitlines())) <= WIDTH


def test_a_report_without_other_sites_has_no_columns_for_them():
    report = full_report()
    alone = dataclasses.replace(report, interchange=tuple(row for row in report.interchange if row.aligned))
    assert "other" in as_text(report) and "other" not in as_text(alone)


def test_names_are_no_markup():
    assert "[bold]x[/bold]" in as_text(example_report(("[bold]x[/bold]", "kd"), seeds=1))


def test_text_of_a_report_without_rows(report):
    empty = dataclasses.replace(report, interchange=(), differences=())
    assert "diito" in as_text(empty) and as_text(empty).startswith("Nothing can be concluded")


def test_it_is_text_in_a_notebook_too(report, monkeypatch):
    wanted = as_text(report)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert as_text(report) == wanted
