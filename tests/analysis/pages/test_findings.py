import dataclasses

from analysis.pages import findings
from causalkd.verification.results.rows import GroundTruthRow, Mismatch, OffDistributionRow
from tests.example_maps import example_results
from tests.example_report import example_metrics, example_report, full_report
from tests.example_teaching import example_teaching
from tests.two_sites import two_sites


def test_the_task_and_the_sites():
    report = example_report()
    assert findings.of_task(report) == (
        "On the task itself, accuracy is 0.982 for kd, 0.982 for diito, and 0.992 for the teacher."
    )
    assert findings.of_sites(report).startswith(
        "At the aligned site, effective IIA is 58.6% for kd, 88.8% for diito, and on average over the other sites,"
    )


def test_aligned_sites_are_no_training_where_nobody_was_trained_there():
    trained = example_report()
    assert findings.meaning_of_sites(trained) == (
        "diito was trained at the aligned site with interventions: what is learned beyond it shows at the others."
    )
    for objectives, told in (({"response_kd": 1.0}, "No student was trained"), ({}, "is expected to score high")):
        students = tuple(dataclasses.replace(each, objectives=objectives) for each in trained.students)
        assert told in findings.meaning_of_sites(dataclasses.replace(trained, students=students))


def test_sentences_about_sites_are_about_those_that_there_are():
    several = full_report()
    alone = dataclasses.replace(several, interchange=tuple(row for row in several.interchange if row.aligned))
    assert findings.of_sites(several).startswith("On average over the aligned sites, each counted alike")
    assert ", it is 57.8% for kd" in findings.of_sites(several) and "other" not in findings.of_sites(alone)
    assert findings.meaning_of_sites(alone) == (
        "diito was trained at the aligned sites with interventions: a high score is expected there."
    )
    students = tuple(dataclasses.replace(each, objectives={"response_kd": 1.0}) for each in alone.students)
    plain = findings.meaning_of_sites(dataclasses.replace(alone, students=students))
    assert plain == "No student was trained with interventions, so the aligned sites are evidence."
    two = two_sites(lambda *_: 0.7)
    assert findings.of_sites(two) == (
        "At the aligned site, effective IIA is 70.0% for student, and at the other site it is 70.0% for student."
    )


def test_where_no_aligned_site_was_measured_nothing_is_said_of_reach_or_training():
    report = two_sites(lambda *_: 0.7)
    other = dataclasses.replace(report, interchange=tuple(row for row in report.interchange if not row.aligned))
    assert findings.of_sites(other) == (
        "No aligned site was measured; at the other site effective IIA is 70.0% for student."
    )
    empty = dataclasses.replace(report, interchange=())
    assert findings.of_sites(empty) == "No aligned site was measured."
    assert findings.meaning_of_sites(empty) == "A site is aligned if the alignment declares it."


def test_many_students_that_were_trained_at_the_sites_are_a_number():
    report = example_report(tuple(f"diito{index}" for index in range(9)), seeds=1)
    assert findings.meaning_of_sites(report).startswith("9 students were trained at the aligned site with")


def test_a_loss_that_is_no_number_is_not_written_as_one():
    told = findings.of_training([{"student": "kd", "seed": 0, "step": 20, "loss": float("nan")}])
    assert told.startswith("kd ended at a loss that is no finite number after 20 steps")


def test_many_students_are_a_range():
    report = example_report(tuple(f"s{index}" for index in range(9)), seeds=1)
    assert "between 58.1% and 100.0% (9 models)" in findings.of_sites(report)


def test_the_highest_cell_is_named_and_unreachable_ones_are_not():
    report = example_report(("kd",), seeds=1)
    best = max(
        (row for row in report.interchange if row.baseline == "measured" and row.reachable),
        key=lambda row: row.iia_effective or 0.0,
    )
    told = f"{100 * best.iia_effective:.1f}% for kd at teacher layer {best.teacher_layer} and student layer"
    assert told in findings.of_grids(report, "iia_effective")
    none = dataclasses.replace(
        report, interchange=tuple(dataclasses.replace(row, reachable=False) for row in report.interchange)
    )
    assert findings.of_grids(none, "iia") == "No pair counts in any cell."


def test_cells_with_few_pairs_are_not_the_highest_and_students_without_a_number_are_told_why():
    report = example_report(seeds=1)

    def changed(**cells):
        rows = (dataclasses.replace(r, **cells) if r.aligned and r.student == "kd" else r for r in report.interchange)
        return dataclasses.replace(report, interchange=tuple(rows))

    told = findings.of_grids(report, "iia_effective")
    assert told.startswith("Effective IIA of the cells with at least 30 effective pairs is highest with")
    every = (dataclasses.replace(row, effective_pairs=29) for row in report.interchange)
    few = dataclasses.replace(report, interchange=tuple(every))
    assert findings.of_grids(few, "iia_effective") == "There is no cell with at least 30 effective pairs."
    assert findings.of_grids(few, "iia").startswith("IIA is highest with")
    assert findings.of_sites(few) == (
        "Nothing can be said of the aligned site: kd and diito have fewer than 30 effective pairs there."
    )
    assert findings.of_sites(changed(effective_pairs=3)).endswith("; kd has fewer than 30 effective pairs there.")
    unreached = findings.of_sites(changed(reachable=False))
    assert unreached.endswith("; kd has no site there at which the intervention has an effect.")


def test_losses_are_told_with_their_steps():
    report = example_report(seeds=1)
    assert findings.of_training(example_metrics(report)).startswith("Each curve is one term")
    rows = [{"student": "kd", "seed": 0, "step": step, "loss": 2.0 / step} for step in (1, 2, 4)]
    assert findings.of_training(rows).startswith("kd ended at a loss of 0.500 after 4 steps.")
    rows.append({"student": "kd", "seed": 1, "step": 2, "loss": 1.5})
    assert findings.of_training(rows).startswith("kd ended at a loss of 1.000 after 2 to 4 steps.")


def test_departures_distances_and_the_causal_model():
    departures = [
        Mismatch(
            "diito",
            0,
            "p",
            "b",
            "s",
            (("a", "b"),),
            "entailment",
            "contradiction",
            "entailment",
            "neutral",
            0.9,
            0.1,
            kl,
        )
        for kl in (1.0, 3.0)
    ]
    report = dataclasses.replace(
        example_report(seeds=1),
        mismatches=tuple(departures),
        off_distribution=(
            OffDistributionRow("diito", 0, "p", 0.5, 1.0, 0.372, 100),
            OffDistributionRow("diito", 0, "q", 0.5, 1.0, 0.1, 9),
        ),
    )
    assert "diito keeps the prediction neutral where the teacher's changes to contradiction" in findings.of_departures(
        report
    )
    assert "the share of unusual states is 23.6% for diito; 5.0% is expected" in findings.of_distances(report)
    row = GroundTruthRow("teacher", None, "noun_relation", "block_output", 2, "p", 0.9, 0.8, 0.7, 0.9, 60, 99, {}, 0.1)
    lower = dataclasses.replace(row, layer=0, iia_effective=0.3)
    assert "the variable noun relation best at the output of block 2: 80.0%" in findings.of_truth((lower, row))
    few = dataclasses.replace(row, layer=3, iia_effective=1.0, effective_pairs=29)
    assert findings.of_truth((lower, few, row)) == findings.of_truth((lower, row))
    assert "at no block of the teacher are there 30 effective pairs" in findings.of_truth((few,))


def test_maps_and_teaching_modes():
    results = example_results(("kd",), seeds=1)
    assert (
        findings.of_attribution(results) == "The cosine with the teacher's map is 0.400 for kd; a random map has 0.000."
    )
    taught = example_teaching(("kd",), seeds=1)
    share = taught.students[0].target_share
    assert findings.of_teaching(taught).endswith(f"forward KL is {100 * share:.1f}% for kd.")
