"""Which setting a method is given: the best of a complete one, by a metric's own direction, the first of equals."""

from dataclasses import replace
from pathlib import Path

import pytest

from causalkd.reporting.study_choice import as_changes, choices
from causalkd.reporting.study_measures import CellResult
from causalkd.reporting.study_table import study_table
from causalkd.reporting.study_types import StudyTable
from tests.example_study import example_results, example_study

RATES = [0.1, 0.2, 0.3]
CHOOSE = {"fields": {"training.learning_rate": RATES}, "seeds": [0, 1]}
METRICS = {"one": (0.5, 0.9, 0.9), "other": (0.8, 0.7, 0.1)}
"""Of each variant, by the number of the setting."""


def _tried(folder: Path, metric: str = "accuracy", failing: float = 0.0, **choose: object) -> tuple[object, StudyTable]:
    """A study, and the table of its choosing with known metrics."""
    study = example_study(folder, choose={**CHOOSE, **choose})
    report = example_results(study)[0].report
    assert report is not None
    results = []
    for cell in study.choosing().cells():
        number = RATES.index(cell.setting["students.*.training.learning_rate"])
        student = replace(report.students[0], seed=cell.seed, task_metric=METRICS[cell.variant][number])
        rows = tuple(replace(row, seed=cell.seed) for row in report.interchange)
        teacher = replace(report.teacher, metric=metric)
        found = replace(report, students=(student,), teacher=teacher, interchange=rows)
        failed = RATES[number] == failing and cell.seed == 1
        fault = "ValueError: diverged" if failed else None
        results.append(CellResult(cell, None if failed else found, {}, {}, {}, fault))
    return study, study_table(study.choosing(), results)


def test_each_method_takes_its_best_setting_the_first_of_equals(tmp_path: Path) -> None:
    study, table = _tried(tmp_path)
    found = choices(study, table)  # type: ignore[arg-type]
    assert [(each.method, each.fields) for each in found] == [
        ("one", {"training.learning_rate": 0.2}),
        ("other", {"training.learning_rate": 0.1}),
    ]
    assert all(len(each.tried) == 3 and each.measure == "accuracy" for each in found)
    assert found[0].tried[0].values == (0.5, 0.5)
    rates = {cell.variant: cell.recipe.students[0].training for cell in study.cells(as_changes(found))}  # type: ignore[attr-defined]
    assert rates == {"one": {"learning_rate": 0.2}, "other": {"learning_rate": 0.1}}


def test_of_a_perplexity_the_least_is_the_best(tmp_path: Path) -> None:
    found = choices(*_tried(tmp_path, "perplexity"))  # type: ignore[arg-type]
    assert [each.fields["training.learning_rate"] for each in found if each.fields] == [0.1, 0.3]


def test_a_setting_without_a_result_of_every_seed_is_not_taken(tmp_path: Path) -> None:
    one, other = choices(*_tried(tmp_path, failing=0.1))  # type: ignore[arg-type]
    assert other.fields == {"training.learning_rate": 0.2}
    assert (other.tried[0].values, other.tried[0].seeds, other.tried[0].is_complete) == ((0.8,), 2, False)
    study, table = _tried(tmp_path)
    empty = replace(table, rows=tuple(replace(row, seeds=(), failed=(0, 1), values={}) for row in table.rows))
    assert [each.fields for each in choices(study, empty)] == [None, None]  # type: ignore[arg-type]
    assert as_changes(choices(study, empty)) == {}  # type: ignore[arg-type]
    assert one.fields is not None


def test_a_measure_that_was_not_taken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"choose\.by is 'f1', which was not measured for one; there are accuracy, "):
        choices(*_tried(tmp_path, by="f1"))  # type: ignore[arg-type]
    assert choices(*_tried(tmp_path, by="agreement"))[0].measure == "agreement"  # type: ignore[arg-type]


def test_each_task_of_a_grid_chooses_by_its_own_metric(tmp_path: Path) -> None:
    """Not by that of the first task, which the others may lack, so that nothing was chosen for them."""
    tasks = ["sst2", "wikitext_causal_lm"]
    study = example_study(tmp_path, choose={**CHOOSE, "seeds": [0]}, grid={"data.task": tasks})
    report = example_results(study)[0].report
    assert report is not None
    results = []
    for cell in study.choosing().cells():
        number = RATES.index(cell.setting["students.*.training.learning_rate"])
        student = replace(report.students[0], seed=0, task_metric=METRICS[cell.variant][number])
        metric = "accuracy" if cell.setting["data.task"] == "sst2" else "perplexity"
        found = replace(report, students=(student,), teacher=replace(report.teacher, metric=metric))
        results.append(CellResult(cell, found, {}, {}, {}, None))
    found = choices(study, study_table(study.choosing(), results))
    assert [(each.method, each.measure, (each.fields or {}).get("training.learning_rate")) for each in found] == [
        ("one", "accuracy", 0.2), ("one", "perplexity", 0.1), ("other", "accuracy", 0.1), ("other", "perplexity", 0.3)
    ]  # fmt: skip


@pytest.mark.parametrize(("by", "counted"), [("accuracy", 40), ("agreement", 40), ("accuracy on sst2/test", None)])
def test_how_many_rows_a_choice_is_made_on_is_known(tmp_path: Path, by: str, counted: int | None) -> None:
    study, table = _tried(tmp_path, by=by)
    rows = [replace(row, values=row.values | {"accuracy on sst2/test": (0.5, 0.5)}) for row in table.rows]
    rows = tuple(replace(row, heldout_rows=40) for row in rows)
    found = choices(study, replace(table, rows=rows))  # type: ignore[arg-type]
    assert {tried.counted for each in found for tried in each.tried} == {counted}
    assert table.rows[0].heldout_rows is None, "the example's report has no scores with intervals"


def test_an_accuracy_of_interventions_is_of_pairs(tmp_path: Path) -> None:
    study, table = _tried(tmp_path, by="effective IIA at declared pairs")
    pairs = table.rows[0].mean("effective pairs at declared pairs")
    assert pairs and choices(study, table)[0].tried[0].counted == round(pairs)  # type: ignore[arg-type]
