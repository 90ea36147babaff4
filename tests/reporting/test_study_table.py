"""The table of a study: means, paired differences, references and failures."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from scipy.stats import ttest_rel

from causalkd.reporting.study_formats import table_csv, table_markdown
from causalkd.reporting.study_table import study_table
from causalkd.reporting.study_types import StudyTable
from causalkd.verification.results.interchange_rows import DifferenceRow
from causalkd.verification.statistics.paired_difference import paired_difference
from tests.example_study import ACCURACIES, FAILURE, example_results, example_study


def test_means_and_paired_differences(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    table = study_table(study, example_results(study))
    assert [row.method for row in table.rows] == ["one", "other"]
    assert table.rows[1].mean("accuracy") == pytest.approx(sum(ACCURACIES["other"]) / 3)
    (difference,) = (each for each in table.differences if each.measure == "accuracy")
    expected = ttest_rel(ACCURACIES["other"], ACCURACIES["one"])
    assert (difference.method, difference.reference) == ("other", "one")
    assert difference.over_seeds.p_value == pytest.approx(expected.pvalue)
    assert difference.q_value == difference.over_seeds.p_value, "one difference of this measure needs no adjustment"
    assert difference.found and difference.over_seeds.visible < difference.over_seeds.mean  # type: ignore[operator]
    assert not any(
        each.measure.startswith(("teacher's", "best baseline", "effective pairs")) for each in table.differences
    )


def test_what_is_no_larger_than_visible_is_no_finding(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    table = study_table(study, example_results(study))
    (difference,) = (each for each in table.differences if each.measure == "accuracy")
    small = replace(difference, over_seeds=replace(difference.over_seeds, mean=0.001))
    assert not small.found
    assert not replace(difference, q_value=0.06).found
    assert not replace(difference, q_value=None).found
    assert difference.lacking == 0 and not replace(difference, lacking=1).found


def test_a_failure_is_named_and_leaves_the_shared_seeds(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    results = example_results(study, failing=True)
    table = study_table(study, results)
    assert table.failures == {results[-1].cell.name: FAILURE}
    assert table.rows[1].seeds == (0, 1) and table.rows[1].failed == (2,)
    (difference,) = (each for each in table.differences if each.measure == "accuracy")
    assert difference.over_seeds.seeds == 2 and difference.over_seeds.mean == pytest.approx(0.095)
    assert difference.lacking == 1
    assert json.loads(table.to_json())["failures"] == table.failures


def test_a_seed_without_a_number_is_no_smaller_mean_and_no_finding(tmp_path: Path) -> None:
    """A perplexity of a training that diverged: the other seeds would speak for a method that fails in one of three."""
    study = example_study(tmp_path)
    last = (results := example_results(study))[-1]
    assert last.report is not None
    report = replace(last.report, students=(replace(last.report.students[0], task_metric=None),))
    table = study_table(study, [*results[:-1], replace(last, report=report)])
    assert (table.rows[1].mean("accuracy"), table.rows[1].sd("accuracy")) == (None, None)
    (difference,) = (each for each in table.differences if each.measure == "accuracy")
    assert (difference.over_seeds.seeds, difference.lacking, difference.found) == (2, 1, False)
    assert "| other | 3 | – (a number in 2 of 3 seeds) |" in table_markdown(table)
    (mean,) = (line for line in table_csv(table).splitlines() if line.startswith("mean,other,,,accuracy,"))
    assert mean == "mean,other,,,accuracy,3,,,,,,,,,,"


def test_the_reference_can_be_chosen(tmp_path: Path) -> None:
    study = example_study(tmp_path, references=["other"])
    table = study_table(study, example_results(study))
    assert {(each.method, each.reference) for each in table.differences} == {("one", "other")}


def test_checkpoints_that_were_chosen_on_the_scored_rows_are_told(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    results = example_results(study)
    said = "Checkpoints were chosen on the same held-out rows, so scores on these are somewhat too high."
    assert said not in study_table(study, results).budget
    last = results[-1].report
    assert last is not None
    chosen = replace(last, students=(replace(last.students[0], chosen_by="accuracy"),))
    assert study_table(study, [*results[:-1], replace(results[-1], report=chosen)]).budget.endswith(f" {said}")


def test_students_of_one_run_are_also_compared_over_pairs(tmp_path: Path) -> None:
    """Two declared pairs and a cell of the grid: seed 0 differs at both, seed 1 at one of them, seed 2 at none."""
    students = [{"name": name, "layers": [0], "objectives": {"task": {}}} for name in ("a", "b")]
    study = example_study(tmp_path, variants={"one": {"students": students}})
    q = {"premise": (0.02, 0.001, 0.5), "late": (0.001, 0.5, 0.5), "grid:premise": (0.001, 0.001, 0.001)}

    def table(gain: float, others: tuple[str, ...] = ()) -> StudyTable:
        results = []
        for each in example_results(study):
            report, seed = each.report, each.cell.seed
            assert report is not None
            twins = tuple(replace(report.students[0], name=name) for name in ("a", "b", *others))
            rows = [
                replace(row, student=name, iia_effective=gain * (name == "b"))
                for name in ("a", "b")
                for row in report.interchange
            ]
            compared = tuple(
                DifferenceRow(
                    "b", seed, "a", "measured", pair, 1, 0, "iia_effective", 480, 0.1, 0.05, 0.15, *[p[seed]] * 2
                )
                for pair, p in q.items()
            )
            compared += tuple(replace(compared[0], student=name) for name in others)
            both = replace(report, students=twins, interchange=tuple(rows), differences=compared)
            results.append(replace(each, report=both))
        return study_table(study, results)

    assert [row.method for row in table(0.1).rows] == ["one/a", "one/b"]
    found = {each.measure: each for each in table(0.1).differences}
    assert found["effective IIA at declared pairs"].seeds_beyond_chance == 1
    assert found["accuracy"].seeds_beyond_chance is None
    # Intervals of width 0.1: a standard error of 0.1 / 3.92, and what it shows with a probability of 80 % is 2.8 of it.
    assert found["effective IIA at declared pairs"].visible_over_examples == pytest.approx(0.0715, abs=1e-4)
    assert found["accuracy"].visible_over_examples is None
    among = {each.measure: each for each in table(0.1, ("c", "d")).differences}
    assert among["effective IIA at declared pairs"].seeds_beyond_chance == 0, "0.02 of three compared students is 0.06"
    # Where the made-up means differ otherwise or not at all, no finding over pairs has the sign of the mean.
    for gain in (0.0, -0.1):
        found = {each.measure: each for each in table(gain).differences}
        assert found["effective IIA at declared pairs"].seeds_beyond_chance == 0


def test_the_seconds_are_beside_the_table_and_not_in_it(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    results = example_results(study)
    slower = [
        replace(each, report=replace(each.report, students=(replace(each.report.students[0], seconds=1e6),)))  # type: ignore[union-attr, type-var]
        for each in results
    ]
    one, other = study_table(study, results), study_table(study, slower)
    assert one.to_json() == other.to_json() and one.seconds != other.seconds


def test_a_variant_is_a_reference_for_the_students_of_the_same_name(tmp_path: Path) -> None:
    students = [{"name": name, "layers": [0], "objectives": {"task": {}}} for name in ("only", "more")]
    study = example_study(tmp_path, variants={"one": {"students": students}, "other": {"students": students}})
    results = []
    for each in example_results(study):
        assert each.report is not None
        twins = tuple(replace(each.report.students[0], name=name) for name in ("only", "more"))
        results.append(replace(each, report=replace(each.report, students=twins, interchange=())))

    def compared(*references: str) -> set[tuple[str, str]]:
        chosen = study.model_copy(update={"references": references})
        return {(each.method, each.reference) for each in study_table(chosen, results).differences}

    within = {("one/more", "one/only"), ("other/more", "other/only")}
    across = {("other/only", "one/only"), ("other/more", "one/more")}
    assert compared("only") == within
    assert compared("one") == across
    assert compared("only", "one") == within | across
    assert compared("one/more") == {(name, "one/more") for name in ("one/only", "other/only", "other/more")}


def test_another_task_is_also_compared_over_its_rows(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    scores = {"one": (0.0, 1.0, 0.0, 1.0), "other": (0.5, 2.0, 0.75, 1.25)}
    results = [
        replace(
            each,
            evaluations={
                "only": {
                    f"{metric} on mrpc/test": sum(scores[each.cell.variant]) + each.cell.seed / 9
                    for metric in ("accuracy", "f1", "perplexity")
                }
            },
            rows={
                ("only", f"{metric} on mrpc/test"): tuple(score + each.cell.seed for score in scores[each.cell.variant])
                for metric in ("accuracy", "perplexity")
            },
        )
        for each in example_results(study)
    ]
    found = {each.measure: each for each in study_table(study, results).differences}
    expected = ttest_rel(scores["other"], scores["one"]).pvalue
    assert found["accuracy on mrpc/test"].p_over_rows == pytest.approx(expected)
    unit = paired_difference(scores["other"], scores["one"])
    assert unit is not None and found["accuracy on mrpc/test"].visible_over_examples == pytest.approx(unit.visible)
    assert found["perplexity on mrpc/test"].p_over_rows == pytest.approx(expected)
    assert found["perplexity on mrpc/test"].visible_over_examples is None, "its rows are scored in nats"
    accuracy, perplexity = (found[f"{metric} on mrpc/test"] for metric in ("accuracy", "perplexity"))
    assert accuracy.mean_over_rows == pytest.approx(unit.mean) and not accuracy.is_opposite_over_rows
    assert perplexity.mean_over_rows == pytest.approx(-unit.mean), (
        "the logarithm of a perplexity, not a log-probability"
    )
    assert perplexity.over_seeds.mean > 0 and perplexity.is_opposite_over_rows
    assert found["f1 on mrpc/test"].p_over_rows is None, "it is no mean over rows"
    assert found["accuracy"].p_over_rows is None
    assert found["accuracy"].found and not replace(found["accuracy"], p_over_rows=0.2).found
    sure = replace(found["accuracy"], p_over_rows=1e-9)
    assert replace(sure, mean_over_rows=0.1).found and not replace(sure, mean_over_rows=-0.9).found
