"""What a study can show is calculated from a pilot or a given spread, and holds in simulated studies."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_rel

from causalkd.reporting.study_power import planned_differences
from causalkd.reporting.study_table import study_table
from tests.example_study import example_results, example_study


def test_a_given_spread_is_for_every_comparison_of_a_measure(tmp_path: Path) -> None:
    study = example_study(tmp_path, power={"sd": {"accuracy": 0.02}}, seeds=[0, 1, 2, 3, 4])
    (planned,) = planned_differences(study, None)
    assert (planned.measure, planned.seeds, planned.pilot_seeds, planned.at_most) == ("accuracy", 5, None, None)
    assert planned.concerns("a", "b", {"x": 1}, "accuracy") and not planned.concerns("a", "b", {}, "f1")


@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_simulated_studies_show_the_planned_difference_four_times_in_five(tmp_path: Path, seeds: int) -> None:
    study = example_study(tmp_path, power={"sd": {"accuracy": 0.02}}, seeds=list(range(seeds)))
    (planned,) = planned_differences(study, None)
    generator = np.random.default_rng(seeds)
    shared = generator.normal(0.7, 0.1, (4000, seeds))  # what a seed gives both methods falls out of the difference
    noise = generator.normal(0.0, 0.02, (4000, seeds))
    found = ttest_rel(shared + noise + planned.smallest, shared, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.025)


def test_the_pilot_gives_the_spread_of_each_comparison(tmp_path: Path) -> None:
    study = example_study(tmp_path, power={"pilot_seeds": 2})
    pilot = study_table(study, [each for each in example_results(study) if each.cell.seed < 2])
    found = {each.measure: each for each in planned_differences(study, pilot)}
    differences = np.array([0.80 - 0.70, 0.81 - 0.72])
    planned = found["accuracy"]
    assert (planned.method, planned.reference, planned.pilot_seeds, planned.seeds) == ("other", "one", 2, 3)
    assert planned.sd == pytest.approx(differences.std(ddof=1))
    assert planned.at_most is not None and planned.at_most > planned.smallest > 0


def test_a_finding_is_no_smaller_than_planned(tmp_path: Path) -> None:
    study = example_study(tmp_path, power={"sd": {"accuracy": 1.0}})
    results = example_results(study)
    (free,) = (each for each in study_table(study, results).differences if each.measure == "accuracy")
    planned = planned_differences(study, None)
    table = study_table(study, results, planned=planned)
    (bound,) = (each for each in table.differences if each.measure == "accuracy")
    assert free.found and free.planned is None
    assert bound.planned == planned[0].smallest > abs(bound.over_seeds.mean) and not bound.found
