import dataclasses

import pytest

from causalkd.reporting.standing import alike, is_trained_there, site_count, standing, standings
from tests.example_report import example_report, full_report
from tests.two_sites import at_another_layer, two_sites


def test_standing_in_numbers():
    found = standing(two_sites(lambda name, seed, aligned: 0.7 + seed / 10, seeds=(0, 1)), "student", "aligned")
    assert (found.sites, found.above, found.baseline, found.baseline_name) == (1, 1, 0.5, "majority_class")
    assert found.accuracy == pytest.approx(0.75) and found.spread == pytest.approx(0.05 * 2**0.5)
    assert (found.seeds, found.low, found.high) == (2, None, None)


def test_one_site_of_one_seed_has_its_interval_and_several_baselines_have_no_name():
    report = two_sites(lambda *_: 0.7)
    found = standing(report, "student", "aligned")
    (row,) = (row for row in report.interchange if row.aligned and row.baseline == "measured")
    assert (found.seeds, found.low, found.high) == (1, row.iia_effective_low, row.iia_effective_high)
    seeds = two_sites(lambda *_: 0.7, seeds=(0, 1))
    rows = tuple(
        dataclasses.replace(row, iia_effective=0.6) if row.baseline == "permuted_source" and row.seed else row
        for row in seeds.interchange
    )
    assert standing(dataclasses.replace(seeds, interchange=rows), "student", "aligned").baseline_name is None


def test_reports_from_before_there_were_tests_are_judged_by_their_intervals():
    assert standing(two_sites(lambda *_: 0.56, q=None), "student", "aligned").above == 1
    assert standing(two_sites(lambda *_: 0.54, q=None), "student", "aligned").above == 0


@pytest.mark.parametrize(
    ("accuracy", "q", "anywhere"),
    [
        (lambda *_: 0.3, 0.001, 0),
        (lambda *_: 0.78, 0.4, 1),  # less, but that may be chance
        (lambda *_: 0.95, 0.001, 1),  # better there
        (lambda name, seed: 0.8 if seed else 0.3, 0.001, 1),  # as good in one seed of two
    ],
)
def test_another_layer_that_does_as_well_in_one_seed_counts(accuracy, q, anywhere):
    report = two_sites(lambda name, seed, aligned: 0.8 if aligned else 0.4, seeds=(0, 1))
    report = at_another_layer(report, accuracy, q)
    (found,) = standings(report).values()
    assert [kind.anywhere for kind in found] == [anywhere, 0], "no evidence at other sites that could be weakened"


def test_sites_that_say_nothing_are_counted_apart():
    other = standing(example_report(), "kd", "other")
    assert (other.sites, other.measured, other.counted) == (3, 5, "3 of 5")
    assert standing(example_report(), "kd", "aligned").counted == "1"


def test_sites_are_counted_by_kind_whether_they_are_reachable_or_not():
    report = full_report(seeds=2)
    counts = {kind: site_count(report, kind) for kind in ("aligned", "touched", "other")}
    assert counts == {"aligned": 2, "touched": 4, "other": 4}
    assert site_count(dataclasses.replace(report, interchange=()), "aligned") == 0


def test_objectives_tell_who_was_trained_at_the_aligned_sites():
    report = example_report(seeds=2)
    assert (is_trained_there(report, "diito"), is_trained_there(report, "kd")) == (True, False)
    assert is_trained_there(two_sites(lambda *_: 0.8), "student") is None


def test_a_mean_over_sites_says_that_it_counts_them_alike():
    other = standing(example_report(), "kd", "other")
    assert other.pairs == (360, 420)
    assert other.weighing == ", each counted alike (360 to 420 effective pairs)"
    assert standing(example_report(), "kd", "aligned").weighing == "", "there is one site"
    assert alike((76, 1059)) == ", each counted alike (76 to 1,059 effective pairs)" and alike((9, 9)) == ""
