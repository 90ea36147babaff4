from dataclasses import replace
from pathlib import Path

import pytest

from causalkd.alignment.presets import preset
from causalkd.reporting.study_measures import costs, measures
from causalkd.reporting.summary import summaries
from tests.example_report import ALIGNMENT
from tests.example_study import example_results, example_study


def test_every_measure_has_a_name(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    result = example_results(study)[1]
    found, summary = measures(study, result, "only"), summaries(result.report)[0]  # type: ignore[arg-type]
    assert found["accuracy"] == 0.72 and found["teacher's accuracy"] == 0.9915
    assert found["effective IIA at declared pairs"] == pytest.approx(summary.aligned.iia_effective)
    assert found["best baseline at declared pairs"] == pytest.approx(summary.aligned.best_baseline)
    assert found["effective pairs at declared pairs"] == summary.aligned.effective_pairs
    assert found["effective IIA at other sites"] == pytest.approx(summary.other.iia_effective)
    assert costs(result, "only") == {"block_forwards": 70.0, "steps": 7.0}


def test_the_best_baseline_is_that_of_each_site_as_in_a_report(tmp_path: Path) -> None:
    """Not one that is the best on average over sites, which is lower."""
    study, highest = example_study(tmp_path), {"majority_class": (0.7, 0.1), "permuted_source": (0.3, 0.5)}
    result = example_results(study)[0]
    assert result.report is not None
    first = next(row for row in result.report.interchange if row.aligned)
    rows = [
        replace(first, pair=pair, teacher_layer=layer, baseline=baseline, iia_effective=value[layer])
        for layer, pair in enumerate(("one", "two"))
        for baseline, value in {"measured": (0.9, 0.9), **highest}.items()
    ]
    result = replace(result, report=replace(result.report, interchange=tuple(rows)))
    found = measures(study, result, first.student)
    assert found["best baseline at declared pairs"] == pytest.approx((0.7 + 0.5) / 2)


def test_other_sites_are_those_that_no_declared_pair_touches(tmp_path: Path) -> None:
    """The pairs of `full` touch four cells of the grid."""
    result = example_results(example_study(tmp_path))[0]
    assert result.report is not None
    alignment, first = preset("full", 4, 2), next(row for row in result.report.interchange if row.aligned)
    cells = [("full_0", 0, 0, True), ("full_1", 2, 1, True)]
    cells += [("grid:full_0", t, s, t // 2 == s) for t in range(4) for s in range(2)]
    rows = [
        replace(
            first, pair=pair, teacher_layer=t, student_layer=s, aligned=not pair.startswith("grid:"),
            touched=here and pair.startswith("grid:"), iia_effective=0.4 + here / 2,
        )
        for pair, t, s, here in cells
    ]  # fmt: skip
    report = replace(result.report, alignment=alignment, interchange=tuple(rows))
    found = measures(example_study(tmp_path), replace(result, report=report), first.student)
    assert found["effective IIA at other sites"] == pytest.approx(0.4)
    assert found["effective IIA at declared pairs"] == pytest.approx(0.9)
    own = summaries(report)[0]
    assert found["effective IIA at other sites"] == own.other.iia_effective
    assert found["effective IIA at declared pairs"] == own.aligned.iia_effective


def test_what_was_measured_elsewhere_goes_by_the_name_in_the_study(tmp_path: Path) -> None:
    study = example_study(tmp_path, measure_at={"there": ALIGNMENT.model_dump(mode="json", exclude_defaults=True)})
    result = replace(example_results(study)[0], evaluations={"only": {"f1 on mrpc/validation": 0.5}})
    assert result.report is not None
    declared = tuple(row for row in result.report.interchange if row.aligned)
    result = replace(result, elsewhere={"there": replace(result.report, interchange=declared)})
    found = measures(study, result, "only")
    assert found["f1 on mrpc/validation"] == 0.5
    assert found["effective IIA at there"] == found["effective IIA at declared pairs"]
    without = replace(result, elsewhere={"there": replace(result.report, interchange=())})
    assert measures(study, without, "only")["effective IIA at there"] is None, "shown as not measured, not left out"


def test_a_site_without_effective_pairs_has_no_measure(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    result = example_results(study)[0]
    assert result.report is not None
    empty = replace(result, report=replace(result.report, interchange=()))
    assert not any("IIA" in name for name in measures(study, empty, "only"))
