"""The headline of built reports: each says what its numbers support, and no report gets a stronger one."""

import dataclasses

import pytest

from causalkd.reporting.headline import headline, named_students
from tests.two_sites import at_another_layer, compared, two_sites

TWO = ("kd", "diito")


def _two(kd, diito, difference, q=0.001, seeds=(0, 1, 2), **options):
    accuracies = {"kd": kd, "diito": diito}
    report = two_sites(lambda name, *_: accuracies[name], students=TWO, seeds=seeds, **options)
    return compared(report, lambda *_: difference, q)


def test_a_student_that_is_better_than_the_other_and_its_baselines():
    assert headline(_two(0.66, 0.884, 0.224)) == (
        "At the aligned site, diito predicts what the teacher predicts on 88.4% of the pairs on which the intervention "
        "changes the teacher's prediction (mean of 3 seeds, sd 0.0 points), above its best baseline (majority class, "
        "50.0%), and 22.4 points (22.4 to 22.4 in 3 seeds, each beyond chance) more than kd (66.0%)."
    )


def test_the_reference_that_wins_is_the_one_that_is_named():
    found = headline(_two(0.884, 0.66, -0.224))
    assert found.startswith("At the aligned site, kd predicts") and "beyond chance) more than diito (66.0%)." in found


@pytest.mark.parametrize(("kd", "diito", "difference"), [(0.4, 0.38, -0.02), (0.3, 0.5, 0.2)])
def test_a_null_run_opens_with_there_is_no_evidence(kd, diito, difference):
    found = headline(_two(kd, diito, difference, q=0.6))
    assert found.startswith("Nothing shows that a student computes as the teacher does at the aligned site;")
    assert "which paired tests do not show to be above its best baseline (majority class, 50.0%)" in found
    assert "it is not shown to score higher than" in found and "beyond chance" not in found and "more" not in found


def test_a_difference_within_chance_is_no_more():
    found = headline(_two(0.7, 0.72, 0.02, q=0.3))
    assert "; it is not shown to score higher than kd (70.0%)." in found and "beyond chance" not in found


def test_a_difference_in_some_seeds_is_said_to_be_in_some():
    report = _two(0.7, 0.75, 0.05)
    rows = [dataclasses.replace(row, q_value=0.2) if row.seed == 2 else row for row in report.differences]
    found = headline(dataclasses.replace(report, differences=tuple(rows)))
    assert "5.0 points (5.0 to 5.0 in 3 seeds, 2 of them beyond chance) more than kd (70.0%)" in found


def test_sure_differences_that_point_both_ways_claim_nothing():
    """Seeds of +30, −6 and −6 points, all beyond chance: their mean of +6 is no claim."""
    report = compared(_two(0.7, 0.76, 0.0), lambda _, seed: -0.06 if seed else 0.3)
    told = (
        "; it is not shown to score higher than kd (70.0%; by more than chance higher in 1 and lower in 2 of 3 seeds)."
    )
    assert headline(report).endswith(told) and "more than kd" not in headline(report)
    lower = compared(report, lambda _, seed: -0.06 if seed else 0.02)
    assert "higher in 1 and lower in 2 of 3 seeds" in headline(lower)


def test_a_comparison_on_few_pairs_says_nothing():
    report = _two(0.7, 0.8, 0.1)
    few = tuple(dataclasses.replace(row, seed=row.seed + 10, pairs=29, difference=-0.3) for row in report.differences)
    both = dataclasses.replace(report, differences=(*report.differences, *few))
    assert headline(both) == headline(report) and "each beyond chance) more than kd" in headline(both)


def test_one_seed_is_named_with_its_interval():
    assert "(95% interval 75.0% to 85.0%; one seed)" in headline(_two(0.6, 0.8, 0.2, seeds=(0,)))
    assert "seed" in headline(two_sites(lambda *_: 0.8)) and "kd" not in headline(two_sites(lambda *_: 0.8))


def test_where_another_layer_does_as_well_the_headline_says_so():
    weak = " The layer is not shown to matter: an intervention at another student layer agrees as often or more."
    report = _two(0.66, 0.88, 0.22)
    assert headline(at_another_layer(report, lambda *_: 0.88, 0.6)).endswith(weak)
    assert weak not in headline(at_another_layer(report, lambda *_: 0.3, 0.001))


@pytest.mark.parametrize("options", [{"effective": 29}, {"effective": 0}, {"reachable": False}])
def test_without_effective_pairs_nothing_is_concluded(options):
    found = headline(_two(0.0, 1.0, 1.0, **options))
    most = "the most is 29" if options.get("effective") else "none has any"
    assert found == (
        "Nothing can be concluded: no aligned site that can reach the output has 30 effective pairs, on which the "
        f"intervention changes the teacher's prediction ({most})."
    )


def test_a_student_that_measured_nothing_is_not_compared():
    report = _two(0.66, 0.88, 0.22)
    rows = [
        dataclasses.replace(row, iia_effective=float("nan")) if row.student == "diito" else row
        for row in report.interchange
    ]
    diverged = dataclasses.replace(report, interchange=tuple(rows), differences=())
    assert headline(diverged).startswith("At the aligned site, kd predicts")
    assert headline(diverged).endswith(
        " (majority class, 50.0%). Nothing is said of diito, for which no aligned site reaches the output with 30 "
        "effective pairs in every seed."
    )


def test_many_students_of_which_nothing_is_said_are_a_number():
    names = tuple(f"s{index}" for index in range(9))
    report = two_sites(lambda *_: 0.8, students=names)
    rows = tuple(
        row if row.student == "s0" else dataclasses.replace(row, effective_pairs=2) for row in report.interchange
    )
    assert " Nothing is said of 8 students, for which" in headline(dataclasses.replace(report, interchange=rows))


def test_of_many_students_the_highest_is_said_to_be_chosen_and_the_tests_are_adjusted_for_that():
    names = tuple(f"s{index}" for index in range(9))
    report = two_sites(lambda name, *_: 0.5 + int(name[1]) / 50, students=names)
    many = compared(report, lambda name, _: int(name[1]) / 50, q=0.001, reference="s0")
    assert "s8 (the highest of 9 students)" in headline(many) and " more than s0 (50.0%, the" in headline(many)
    assert "s4" not in headline(many)
    weak = compared(report, lambda name, _: int(name[1]) / 50, q=0.02, reference="s0")
    assert "it is not shown to score higher than s0" in headline(weak), "0.02 in eight comparisons is no finding"


def test_students_without_a_comparison_stand_beside_the_best_without_a_claim():
    found = headline(two_sites(lambda name, *_: {"kd": 0.6, "diito": 0.8}[name], students=TWO))
    assert found.endswith("; beside kd (60.0%).") and "points" not in found


def test_several_sites_are_a_mean_and_those_above_are_counted():
    report = two_sites(lambda name, seed, aligned: 0.8 if aligned else 0.4)
    both = dataclasses.replace(
        report, interchange=tuple(dataclasses.replace(row, aligned=True) for row in report.interchange)
    )
    found = headline(both)
    assert (
        found.startswith("On average over 2 aligned sites, student predicts") and "mean of 2 sites; one seed" in found
    )
    assert "above its best baseline (majority class, 50.0%) at 1 of 2 sites" in found


def test_sites_with_few_effective_pairs_are_told_where_one_is_left():
    report = two_sites(lambda name, seed, aligned: 0.8 if aligned else 0.4)
    rows = [dataclasses.replace(row, aligned=True) for row in report.interchange]
    few = [dataclasses.replace(row, effective_pairs=200 if row.teacher_layer == 0 else 12) for row in rows]
    found = headline(dataclasses.replace(report, interchange=tuple(few)))
    assert found.startswith("At the one of 2 aligned sites that has at least 30 effective pairs, student predicts")
    three = [dataclasses.replace(row, pair="third", effective_pairs=3) for row in rows if row.teacher_layer == 0]
    found = headline(dataclasses.replace(report, interchange=(*rows, *three)))
    assert found.startswith("On average over the 2 of 3 aligned sites that have at least 30 effective pairs, student")


def test_a_report_without_baselines_does_not_blame_the_pairs():
    report = two_sites(lambda *_: 0.8)
    rows = tuple(row for row in report.interchange if row.baseline == "measured")
    found = headline(dataclasses.replace(report, interchange=rows))
    assert found == "Nothing can be concluded: no aligned site was measured beside baselines in every seed."


def test_one_comparison_is_told_with_its_interval_in_the_direction_in_which_it_is_read():
    report = _two(0.884, 0.66, -0.224, seeds=(0,))
    (row,) = report.differences
    report = dataclasses.replace(report, differences=(dataclasses.replace(row, low=-0.25, high=-0.19),))
    assert ", and 22.4 points (95% interval 19.0 to 25.0) more than diito (66.0%)." in headline(report)
    told = "; it is not shown to score higher than diito (66.0%; difference 22.4 points, 95% interval "
    # An interval that holds 0 is no claim, whatever the test says; nor is one that does not, if the test makes none.
    for high, q in ((0.01, 0.06), (0.01, 0.04), (-0.2, 0.06)):
        weak = dataclasses.replace(report.differences[0], low=-0.45, high=high, q_value=q)
        found = headline(dataclasses.replace(report, differences=(weak,)))
        assert f"{told}{-100 * high:.1f} to 45.0, adjusted p = {q:.3f}).".replace("-", "−") in found.replace("-", "−")
        assert "more than" not in found


def test_the_interval_of_no_difference_is_turned_with_its_students():
    report = _two(0.7, 0.66, 0.0, seeds=(0,))
    row = dataclasses.replace(report.differences[0], low=-0.02, high=0.05)
    found = headline(dataclasses.replace(report, differences=(row,)))
    assert "than diito (66.0%; difference 0.0 points, 95% interval −5.0 to 2.0, adjusted p = " in found


def _at_both(kd, diito):
    accuracies = {"kd": kd, "diito": diito}
    return two_sites(lambda name, _, aligned: accuracies[name][not aligned], students=TWO)


def test_where_the_other_student_scores_higher_at_the_other_sites_the_headline_says_so():
    told = "; at the one other site kd scores higher (62.0% against 52.0%, not tested; best baseline 50.0%)."
    assert headline(_at_both((0.7, 0.62), (0.8, 0.52))).endswith(told)
    for other in ((0.7, 0.52), (0.7, 0.5204), (0.7, 0.4)):  # the same, the same as printed, lower
        assert "other site" not in headline(_at_both(other, (0.8, 0.52)))


def test_students_that_tie_are_not_named_as_the_highest_one_alone():
    found = headline(two_sites(lambda *_: 0.8, students=TWO))
    assert found == (
        "At the aligned site, kd and diito tie: each predicts what the teacher predicts on 80.0% of the pairs on which "
        "the intervention changes the teacher's prediction (95% interval 75.0% to 85.0%; one seed), each above its "
        "best baseline (50.0%)."
    )
    names = tuple(f"s{index}" for index in range(9))
    many = two_sites(lambda name, *_: 0.9 if int(name[1]) > 4 else 0.4, students=names)
    assert "4 of 9 students tie: " in headline(many) and "highest" not in headline(many)
    assert named_students(many) == ["s5", "s6", "s7"]
    none = headline(two_sites(lambda *_: 0.4, students=TWO))
    assert (
        none.startswith("Nothing shows that a student computes as the teacher does")
        and "none shown to be above its best baseline (50.0%)" in none
    )


def test_a_tie_counts_the_sites_above_the_baselines_and_is_none_where_a_test_tells_the_students_apart():
    report = two_sites(lambda name, seed, aligned: 0.8 if aligned else 0.4, students=TWO)
    both = tuple(dataclasses.replace(row, aligned=True) for row in report.interchange)
    several = headline(dataclasses.replace(report, interchange=both))
    assert "kd and diito tie" in several and "each shown to be above its best baseline at 1 of 2 sites (" in several
    close = two_sites(lambda name, *_: {"kd": 0.9996, "diito": 0.9999}[name], students=TWO)
    assert " tie: " in headline(close)
    apart = headline(compared(close, lambda *_: 0.0003))
    assert " tie: " not in apart and apart.startswith("At the aligned site, diito predicts")


def test_a_tie_says_for_how_many_the_layer_is_not_shown_to_matter():
    report = at_another_layer(
        two_sites(lambda *_: 0.8, students=TWO), lambda name, _: 0.8 if name == "kd" else 0.3, 0.001
    )
    assert "The layer is not shown to matter for 1 of these 2 students: " in headline(report)
