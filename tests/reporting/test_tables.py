import dataclasses
import html

import pytest

from analysis.figures.score_bars import bar_groups
from analysis.pages.findings import of_sites
from analysis.pages.report_page import render
from causalkd.recipe.objective_entry import ObjectiveEntry
from causalkd.recipe.objectives import OBJECTIVES, TaskPart, register_objective, unregister_objective
from causalkd.reporting.headline import headline
from causalkd.reporting.markdown import as_markdown
from causalkd.reporting.model_card import model_card
from causalkd.reporting.run_comparison import compare
from causalkd.reporting.standing import site_of
from causalkd.reporting.summary import summaries
from causalkd.reporting.tables import (
    chosen_checkpoints,
    learning_maps,
    left_out,
    site_means,
    tables,
    touched,
    unreachable,
)
from causalkd.reporting.terminal import as_text
from causalkd.reporting.verdict import verdict
from causalkd.verification.results.baselines import BASELINES
from causalkd.verification.results.report import VerificationReport
from causalkd.verification.results.rows import TaskDifferenceRow, TaskScoreRow
from tests.example_report import example_report, full_report
from tests.two_sites import two_sites


@pytest.fixture(scope="module")
def report():
    return example_report()


def test_tables_name_their_sites_and_hold_every_seed_and_the_spread(report):
    students, untrained, baselines = tables(report)
    assert "premise: teacher 1 → student 0" in students.title
    assert [row[:2] for row in students.rows[1:]] == [
        (name, seed) for name in ("kd", "diito") for seed in ("0", "1", "2", "all 3")
    ]
    (found,) = (summary for summary in summaries(report) if (summary.name, summary.seed) == ("diito", None))
    assert f"± {found.aligned.iia_effective_sd:.3f} sd" in students.rows[-1]
    assert len(untrained.rows) == len(baselines.rows) == 3


def test_a_pair_of_several_layers_is_named_by_all_of_them_and_there_is_no_table_of_sites_that_there_are_not():
    report = full_report()
    students, other, _ = tables(report)
    assert students.title.startswith("Aligned sites (full_0: teacher 0 and 1 → student 0, full_1: teacher 2 and 3 →")
    assert other.title.startswith("Other sites (mean over sites; no student")
    alone = dataclasses.replace(report, interchange=tuple(row for row in report.interchange if row.aligned))
    assert [table.title.split(" (")[0] for table in tables(alone)] == [
        "Aligned sites", "Baselines at aligned sites, effective IIA"
    ]  # fmt: skip
    (_, one, _) = tables(two_sites(lambda *_: 0.7))
    assert one.title == "The one other site (no student was trained there with interventions)"


def test_touched_sites_are_counted_and_explained_wherever_unreachable_ones_are():
    report = full_report()
    line = "3 sites share a part with a declared pair in both models (touched) and count in no mean."
    assert touched(report) == [line] and touched(example_report()) == []
    for text in (as_text(report), as_markdown(report), html.unescape(render(report))):
        assert line in " ".join(text.split())
    for text in (as_markdown(report), model_card(report, report.students[0])):
        assert "A touched site shares a part with a declared pair" in text
    plain = example_report(seeds=1)
    for text in (as_text(plain), as_markdown(plain), render(plain), model_card(plain, plain.students[0])):
        assert "ouched" not in text


def test_one_site_is_one_in_the_lines_about_sites():
    report = full_report()
    rows = {site_of(row): row for row in report.interchange}
    lost = next(dataclasses.replace(row, reachable=False) for row in rows.values() if row.reachable)
    near = next(row for row in rows.values() if row.touched and row.reachable)
    one = dataclasses.replace(report, interchange=(lost, near))
    assert unreachable(one) == ["1 site cannot reach the output and counts in no mean."]
    assert touched(one) == ["1 site shares a part with a declared pair in both models (touched) and counts in no mean."]


def test_baselines_stand_under_their_names(report):
    heads = tables(report)[-1].rows[0]
    shown = ["no_intervention", "permuted_source", "majority_class", "untrained_student"]
    assert heads == ("student", *(BASELINES[name].title for name in shown))


def test_few_effective_pairs_are_warned_of(report):
    few = dataclasses.replace(
        report, interchange=tuple(dataclasses.replace(r, effective_pairs=29) for r in report.interchange)
    )
    warning = "Few effective pairs: at the one aligned teacher site only 29 pairs are effective"
    assert warning in " ".join(as_text(few).split())


def test_measurements_without_a_number_are_named():
    report = example_report()
    teacher = dataclasses.replace(report.teacher, task_metric=float("nan"))
    broken = dataclasses.replace(report, teacher=teacher)
    told = "Measurements without a finite number: name planted BERT, 4 layers × 128: task_metric is nan."
    assert told in " ".join(as_text(broken).split()) and told in as_markdown(broken)
    assert "a finite number" not in as_text(report)


def test_the_task_metric_stands_with_its_interval_and_paired_differences(report):
    scores = (TaskScoreRow("teacher", None, 0.91, 0.88, 0.93), TaskScoreRow("diito", 0, 0.9, 0.87, 0.92, 872))
    compared = (TaskDifferenceRow("diito", 0, "kd", 0.012, -0.003, 0.027, 0.12, 872),)
    text = as_text(dataclasses.replace(report, task_scores=scores, task_differences=compared))
    lines = {tuple(line.split()) for line in text.splitlines()}
    assert {("teacher", "–", "0.910", "0.880–0.930", "–"), ("diito", "0", "0.900", "0.870–0.920", "872")} <= lines
    assert "diito − kd, seed 0, accuracy: +0.012 [-0.003, +0.027] on 872 rows, p = 0.120" in text.splitlines()
    assert " rows, p" not in as_text(report)


def test_a_checkpoint_that_was_chosen_on_the_scored_rows_is_told_wherever_scores_are():
    report = example_report(seeds=1)
    kd, diito = report.students
    biased = dataclasses.replace(report, students=(kd, dataclasses.replace(diito, chosen_by="accuracy")))
    said = (
        "The checkpoint of diito was chosen by accuracy on the same held-out rows, so these task scores are somewhat "
        "too high; their intervals and p-values do not account for the choice."
    )
    assert chosen_checkpoints(report) == [] and chosen_checkpoints(biased) == [said]
    card = model_card(biased, biased.students[1])
    for made in (as_text(biased), as_markdown(biased), card, compare({"a": report, "b": biased}), render(biased)):
        assert said in " ".join(html.unescape(made).split())
    for made in (as_text(report), as_markdown(report), model_card(biased, kd)):
        assert "The checkpoint" not in made
    taught = dataclasses.replace(biased, teacher=dataclasses.replace(biased.teacher, chosen_by="answer_f1"))
    (line,) = chosen_checkpoints(taught)
    assert line.startswith("Checkpoints of the teacher and diito were chosen by answer f1 or accuracy on the same")
    many = [dataclasses.replace(diito, name=f"s{number}", chosen_by="f1") for number in range(5)]
    assert chosen_checkpoints(report, many)[0].startswith("Checkpoints of 5 models were chosen by f1 on the same")
    assert VerificationReport.from_json(taught.to_json()) == taught and "chosen_by" not in report.to_json()


@pytest.mark.parametrize("trains_maps", [True, False])
def test_any_objective_that_says_it_trains_on_maps_has_its_costs_told(trains_maps):
    report = example_report(("kd",), seeds=1)
    register_objective("toy_maps", ObjectiveEntry(TaskPart, "nowhere:Toy", trains_maps=trains_maps))
    try:
        student = dataclasses.replace(report.students[0], objectives={"task": 1.0, "toy_maps": 1.0})
        found = dataclasses.replace(report, students=(student,))
        told = [sentence.startswith("Students with toy_maps were trained") for sentence in learning_maps([student])]
        assert told == [True] * trains_maps
        for text in (as_markdown(found), model_card(found, student)):
            assert ("Students with toy" in text) == trains_maps
    finally:
        unregister_objective("toy_maps")


def test_only_adkd_trains_on_maps_and_an_objective_that_nobody_knows_says_nothing(report):
    assert [name for name, entry in OBJECTIVES.items() if entry.trains_maps] == ["adkd"]
    assert learning_maps([dataclasses.replace(report.students[0], objectives={"gone": 1.0})]) == []


def _uneven(aligned: bool):
    """A report whose sites of one kind have 76 and 1,059 effective pairs, and of the other kind one site."""
    report = two_sites(lambda name, seed, first: 0.9 if first else 0.6)
    rows = []
    for row in report.interchange:
        alone = dataclasses.replace(row, aligned=not aligned, teacher_layer=2)
        weights = {0: 76, 1: 1059}
        several = dataclasses.replace(row, aligned=aligned, effective_pairs=weights[row.teacher_layer])
        rows += [several, alone] if row.teacher_layer else [several]
    return dataclasses.replace(report, interchange=tuple(rows))


@pytest.mark.seconds
@pytest.mark.parametrize("aligned", [True, False])
def test_a_mean_over_uneven_sites_says_that_it_counts_them_alike_wherever_it_is_shown(aligned):
    report = _uneven(aligned)
    clause, value = "each counted alike (76 to 1,059 effective pairs)", "75.0%"
    (told,) = (sentence for sentence in verdict(report) if clause in sentence)
    assert value in told and (told == headline(report)) == aligned
    (group,) = (group for group in bar_groups(report) if clause in group.which)
    assert group.bars[0].value == pytest.approx(0.75)
    assert clause in of_sites(report) and value in of_sites(report)
    line = f"A mean over sites is one over all that have effective pairs, {clause}."
    assert site_means(report) == [line]
    for text in (as_text(report), as_markdown(report), html.unescape(render(report))):
        assert " ".join(told.split()) in " ".join(text.split()) and "0.750" in text
        assert (line in " ".join(text.split())) == (text != as_text(report)), "in a terminal the sentence must do"


@pytest.mark.seconds
def test_even_sites_need_no_word_and_sites_that_only_the_tables_count_are_told():
    even = two_sites(lambda *_: 0.8)
    assert site_means(even) == left_out(even) == [] and left_out(_uneven(False)) == []
    report = _uneven(False)
    rows = [dataclasses.replace(r, effective_pairs=12) if r.effective_pairs == 76 else r for r in report.interchange]
    few = dataclasses.replace(report, interchange=tuple(rows))
    (line,) = left_out(few)
    assert line.startswith("The summary sentences leave out sites with fewer than 30 effective pairs")
    for text in (as_text(few), as_markdown(few), html.unescape(render(few))):
        assert line in " ".join(text.split())
