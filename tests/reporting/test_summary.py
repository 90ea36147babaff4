import dataclasses
from statistics import stdev

import pytest

from causalkd.reporting.standing import standings
from causalkd.reporting.summary import few_pairs, rows_of, summaries
from tests.example_report import example_report


@pytest.fixture(scope="module")
def report():
    return example_report()


def _by_name(report):
    return {(summary.name, summary.seed): summary for summary in summaries(report)}


def test_each_seed_has_a_summary_and_each_name_a_mean(report):
    assert list(_by_name(report)) == [(name, seed) for name in ("kd", "diito") for seed in (0, 1, 2, None)]
    assert list(_by_name(example_report(seeds=1))) == [("kd", 0), ("diito", 0)]


def test_trained_levels_are_those_of_the_trained_row(report):
    (row,) = (r for r in rows_of(report, "diito", 1) if r.aligned and r.baseline == "measured")
    found = _by_name(report)["diito", 1].aligned
    assert (found.sites, found.iia, found.iia_effective, found.low, found.high) == (
        1, row.iia, row.iia_effective, row.iia_effective_low, row.iia_effective_high,
    )  # fmt: skip
    assert found.baselines["no_intervention"] == 0.0


def test_unreachable_sites_count_in_no_mean(report):
    rows = [r for r in rows_of(report, "kd", 0) if r.baseline == "measured" and not r.aligned]
    found = _by_name(report)["kd", 0].other
    assert found.sites == sum(row.reachable for row in rows) < len(rows)
    known = [row.iia_effective for row in rows if row.reachable and row.iia_effective is not None]
    assert found.iia_effective == pytest.approx(sum(known) / len(known))
    spoiled = tuple(
        r if r.reachable else dataclasses.replace(r, iia=0.0, iia_effective=0.0) for r in report.interchange
    )
    assert summaries(dataclasses.replace(report, interchange=spoiled)) == summaries(report)


def test_the_mean_over_seeds_is_the_mean_of_the_seeds(report):
    found = _by_name(report)
    seeds = [found["diito", seed] for seed in (0, 1, 2)]
    whole = found["diito", None]
    assert whole.seeds == 3 and whole.aligned.low is None
    assert whole.aligned.iia_effective == pytest.approx(sum(s.aligned.iia_effective for s in seeds) / 3)
    assert whole.aligned.iia_effective_sd == pytest.approx(stdev(s.aligned.iia_effective for s in seeds))
    assert whole.task_metric_sd == pytest.approx(0.003)
    assert seeds[0].aligned.iia_effective_sd is None and seeds[0].task_metric_sd is None
    assert whole.other.baselines["majority_class"] == pytest.approx(
        sum(s.other.baselines["majority_class"] for s in seeds) / 3
    )


def test_a_seed_without_a_metric_leaves_no_mean(report):
    students = tuple(
        dataclasses.replace(each, task_metric=None) if (each.name, each.seed) == ("diito", 1) else each
        for each in report.students
    )
    whole = _by_name(dataclasses.replace(report, students=students))["diito", None]
    assert (whole.seeds, whole.task_metric, whole.task_metric_sd) == (3, None, None)


def test_fewer_than_thirty_effective_pairs_bring_a_warning(report):
    assert few_pairs(report) is None
    few = tuple(dataclasses.replace(row, effective_pairs=29) for row in report.interchange)
    text = few_pairs(dataclasses.replace(report, interchange=few))
    assert text.startswith("Few effective pairs: at the one aligned teacher site only 29 pairs are effective (fewer")
    one = tuple(dataclasses.replace(row, effective_pairs=1) for row in report.interchange)
    assert "only 1 pair is effective" in few_pairs(dataclasses.replace(report, interchange=one))
    none = tuple(dataclasses.replace(row, effective_pairs=0) for row in report.interchange)
    text = few_pairs(dataclasses.replace(report, interchange=none))
    assert "at the one aligned teacher site no pair is effective, so accuracies there are unknown." in text
    heads = tuple(dataclasses.replace(row, head=head) for head, rows in ((0, few), (1, none)) for row in rows)
    text = few_pairs(dataclasses.replace(report, interchange=heads))
    assert "at 2 of 2 aligned teacher sites only 0 to 29 pairs are effective" in text
    assert few_pairs(dataclasses.replace(report, interchange=())) is None


def test_the_best_baseline_is_that_of_each_site_and_the_same_as_the_headline_s(report):
    found = _by_name(report)
    for name in ("kd", "diito"):
        for kind, level in zip(
            standings(report)[name], (found[name, None].aligned, found[name, None].other), strict=True
        ):
            assert level.best_baseline == pytest.approx(kind.baseline)
    rows = [r for r in rows_of(report, "kd", 0) if r.reachable and not r.aligned and r.baseline == "majority_class"]
    swapped = tuple(dataclasses.replace(r, iia_effective=0.0) if r is rows[-1] else r for r in report.interchange)
    level = _by_name(dataclasses.replace(report, interchange=swapped))["kd", 0].other
    assert level.best_baseline is not None and level.best_baseline > max(
        level.baselines.values(), key=lambda v: v or 0.0
    )


def test_sites_without_effective_pairs_are_counted_apart(report):
    other = _by_name(report)["kd", 0].other
    assert (other.sites, other.counted, other.effective_pairs) == (5, 3, 400.0)
