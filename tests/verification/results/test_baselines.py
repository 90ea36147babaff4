import dataclasses
from collections.abc import Iterator

import pytest

from analysis.pages.report_page import render
from causalkd.verification.results.baselines import (
    BASELINES,
    MEASURED,
    Baseline,
    explaining,
    register_baseline,
)
from causalkd.verification.results.report import VerificationReport
from tests.example_report import example_report

TOY = Baseline(
    "always_zero",
    "toy title",
    "a prediction that never looks at its input",
    explains=True,
    predict=lambda found, seed: found.plain,
    marker="^",
)


@pytest.fixture
def toy() -> Iterator[VerificationReport]:
    """A report with rows of a baseline that was registered from outside, which is there for the test only."""
    register_baseline(TOY)
    report = example_report(seeds=1)
    added = tuple(
        dataclasses.replace(row, baseline=TOY.key, iia_effective=0.4321)
        for row in report.interchange
        if row.baseline == "no_intervention"
    )
    try:
        yield dataclasses.replace(report, interchange=(*report.interchange, *added))
    finally:
        del BASELINES[TOY.key]


@pytest.mark.seconds
def test_a_registered_baseline_is_in_the_schema_and_on_the_page(toy: VerificationReport) -> None:
    assert VerificationReport.from_json(toy.to_json()) == toy
    page = render(toy)
    assert f"<th>{TOY.title}</th>" in page and "<td>0.432</td>" in page
    assert f"<b>{TOY.title}</b>: {TOY.description}. An accuracy that does not exceed this baseline" in page
    assert TOY.key in explaining()


@pytest.mark.seconds
def test_without_its_entry_neither_knows_it(toy: VerificationReport, monkeypatch: pytest.MonkeyPatch) -> None:
    text = toy.to_json()
    monkeypatch.delitem(BASELINES, TOY.key)
    with pytest.raises(ValueError, match="'always_zero' is not a baseline"):
        VerificationReport.from_json(text)
    assert TOY.title not in render(example_report(seeds=1))


@pytest.mark.parametrize("key", [MEASURED, "ceiling"])
def test_a_name_that_is_taken_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=f"there is a baseline '{key}' already; choose another key"):
        register_baseline(dataclasses.replace(TOY, key=key))


def test_a_baseline_must_say_how_it_predicts() -> None:
    with pytest.raises(ValueError, match="'always_zero' has no `predict`, so it cannot be measured; give a function"):
        register_baseline(dataclasses.replace(TOY, predict=None))
    assert TOY.key not in BASELINES


def test_the_ones_that_explain_are_those_marked_so() -> None:
    marked = ("no_intervention", "permuted_source", "majority_class", "untrained_student", "norm_matched_random")
    assert explaining() == marked
    assert all(entry.key == key for key, entry in BASELINES.items())
