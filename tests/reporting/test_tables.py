import dataclasses
import re

import pytest

from causalkd.reporting.markdown import as_markdown
from causalkd.reporting.summary import summaries
from causalkd.reporting.tables import as_text
from causalkd.verification.results.baselines import BASELINES
from tests.example_report import example_report


@pytest.fixture(scope="module")
def report():
    return example_report()


def _summary(report, seed):
    (found,) = (summary for summary in summaries(report) if (summary.name, summary.seed) == ("diito", seed))
    return found


def test_text_is_one_screen_and_says_what_a_claim_needs(report):
    lines = as_text(report).splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 120
    whole = "\n".join(lines)
    assert "premise: teacher 1 → student 0" in whole
    assert "diito − kd, seed 2, premise: +0.240 [+0.200, +0.290] on 480 effective pairs, p < 0.001" in whole
    assert "± 0.003" in whole and f"± {_summary(report, None).aligned.iia_effective_sd:.3f} sd" in whole
    assert lines[0].startswith("There is") and "Few effective" not in whole
    assert "2 cells cannot reach the output" in whole
    row = _summary(report, 0).aligned
    (line,) = (line for line in lines if line.split()[:2] == ["diito", "0"])
    assert f"{row.low:.3f}–{row.high:.3f}" in line and f"{row.best_baseline:.3f}" in line


def test_text_of_a_report_without_rows(report):
    empty = dataclasses.replace(report, interchange=(), differences=())
    assert "diito" in as_text(empty)


def test_controls_stand_under_their_names_and_the_warning_is_seen(report):
    few = dataclasses.replace(
        report, interchange=tuple(dataclasses.replace(r, effective_pairs=29) for r in report.interchange)
    )
    text = as_text(few)
    assert "Few effective pairs: at 1 of 1 trained teacher sites only 29 are" in text
    (heads,) = (line for line in text.splitlines() if line.startswith("student") and "majority" in line)
    shown = ["no_intervention", "permuted_source", "majority_class", "untrained_student"]
    assert re.split(r" {2,}", heads) == ["student", *(BASELINES[name].title for name in shown)]


def test_measurements_without_a_number_are_named():
    report = example_report()
    teacher = dataclasses.replace(report.teacher, task_metric=float("nan"))
    broken = dataclasses.replace(report, teacher=teacher)
    told = "Measurements without a finite number: name planted BERT, 4 layers × 128: task_metric is nan."
    assert told in as_text(broken) and told in as_markdown(broken)
    assert "a finite number" not in as_text(report)
