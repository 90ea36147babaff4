import dataclasses

import pytest

from causalkd.reporting.run_comparison import compare
from causalkd.reporting.summary import summaries
from tests.example_report import example_report, full_report


def test_every_student_of_every_run_has_a_line():
    first, second = example_report(), example_report(("kd",), seeds=1)
    text = compare({"a": first, "b": second})
    heads, _, *lines, _few = text.splitlines()
    assert heads.split()[0] == "run" and [line.split()[:3] for line in lines] == [
        ["a", "kd", "3"],
        ["a", "diito", "3"],
        ["b", "kd", "1"],
    ]
    mean = next(s for s in summaries(first) if s.name == "diito" and s.seed is None)
    assert f"{mean.aligned.iia_effective:.3f}" in lines[1] and f"{mean.task_metric:.3f}" in lines[1]


def test_runs_that_differ_in_what_they_are_measured_by_say_so():
    report = example_report()
    other = dataclasses.replace(report, teacher=dataclasses.replace(report.teacher, task_metric=0.5))
    differing = compare({"a": report, "b": other})
    assert "The runs differ in their teachers: a has planted BERT, 4 layers × 128, 0.992; b has planted" in differing
    assert "differ" not in compare({"a": report, "b": report})


def test_only_sites_that_both_measured_are_compared():
    shallow, deep = example_report(layers=(4, 2)), example_report(layers=(6, 3))
    text = compare({"a": shallow, "b": deep})
    assert (
        "The runs differ in their last measured layers: a has teacher 3, student 1; b has teacher 5, student 2." in text
    )
    assert "Compared at the 8 sites that every run measured; left out are 10 of b." in text
    # At untrained ones that can say something: the last block of `a` does not reach its output.
    assert [line.split()[-1].split("/")[1] for line in text.splitlines()[-5:-1]] == ["3", "3", "5", "5"]


def test_a_pair_of_several_layers_is_measured_at_all_of_them_and_is_not_one_of_fewer():
    whole = full_report(("kd",))
    own = tuple(row for row in whole.interchange if row.pair == "full_1" and row.aligned)
    first = next(pair for pair in whole.alignment.pairs if pair.name == "full_1")
    cut = first.model_copy(update={"teacher": first.teacher[:1]})
    several = dataclasses.replace(whole, interchange=own)
    single = dataclasses.replace(several, alignment=whole.alignment.model_copy(update={"pairs": (cut,)}))
    text = compare({"a": several, "b": single})
    assert (
        "The runs differ in their last measured layers: a has teacher 3, student 1; b has teacher 2, student 1." in text
    )
    assert "Compared at the 0 sites that every run measured; left out are 1 of a, 1 of b." in text
    more = dataclasses.replace(several, interchange=(*own, dataclasses.replace(own[0], pair="grid:a", aligned=False)))
    assert "Compared at the one site that every run measured; left out is 1 of b." in compare({"a": several, "b": more})


def test_sites_with_too_few_pairs_are_said_to_be_in_no_mean():
    report = example_report()
    few = tuple(dataclasses.replace(row, effective_pairs=29) for row in report.interchange)
    text = compare({"a": report, "b": dataclasses.replace(report, interchange=few)})
    said = "2 of 6 of a kd, 2 of 6 of a diito, 6 of 6 of b kd, 6 of 6 of b diito"
    assert text.splitlines()[-1] == f"Sites with fewer than 30 effective pairs are left out: {said}."
    many = tuple(dataclasses.replace(row, effective_pairs=30) for row in report.interchange)
    whole = dataclasses.replace(report, interchange=many)
    assert "left out" not in compare({"a": whole, "b": whole})


def test_a_metric_that_one_run_lacks_is_not_compared():
    report = example_report()
    other = dataclasses.replace(report, teacher=dataclasses.replace(report.teacher, metric="f1"))
    assert "accuracy" in compare({"a": report, "b": report}).splitlines()[0]
    text = compare({"a": report, "b": other})
    assert "The runs differ in their tasks: a has classification scored by accuracy; b has" in text
    assert "accuracy" not in text.splitlines()[-6]


def test_means_keep_their_standard_deviation_over_seeds():
    report = example_report()
    mean = next(s for s in summaries(report) if s.name == "kd" and s.seed is None)
    line = compare({"a": report, "b": report}).splitlines()[-4]
    assert f"{mean.task_metric:.3f} ± {mean.task_metric_sd:.3f}" in line and line.count("±") == 3


def test_one_run_is_nothing_to_compare():
    with pytest.raises(ValueError, match="1 report given"):
        compare({"a": example_report()})


def test_other_numbers_of_pairs_and_other_tolerances_are_told():
    report = example_report(seeds=1)
    rows = tuple(dataclasses.replace(row, pairs=1234) for row in report.interchange)
    measured = dataclasses.replace(report.environment, tolerance=0.1)
    text = compare({"a": report, "b": dataclasses.replace(report, interchange=rows, environment=measured)})
    assert "The runs differ in their numbers of held-out pairs: a has 1,200; b has 1,234." in text
    assert "The runs differ in their tolerances: a has none; b has 0.1." in text
    assert "differ" not in compare({"a": report, "b": report})
