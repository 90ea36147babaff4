import dataclasses

import pytest

from causalkd.reporting.headline import headline
from causalkd.reporting.verdict import student_sentences, verdict
from tests.example_report import example_report
from tests.two_sites import at_another_layer, two_sites


def test_the_headline_comes_first_and_the_limits_after_it():
    report = two_sites(lambda name, seed, aligned: 0.8 if aligned else 0.4)
    first, *rest = verdict(report)
    assert first == headline(report)
    assert rest == [
        "At the one other site, where no student was trained with interventions, student matches the teacher on 40.0% "
        "(best baseline 50.0%), beyond chance above its baselines at 0 of 1 site (paired tests, corrected for the "
        "number of sites).",
        "One seed: this holds for these trained models, not for the methods.",
    ]


def test_each_student_has_a_sentence_of_its_numbers():
    accuracies = {"kd": 0.4, "diito": 0.8}
    report = two_sites(lambda name, *_: accuracies[name], students=("kd", "diito"), seeds=(0, 1, 2))
    kd, diito = student_sentences(report)
    share = "0.400 ± 0.000 (mean and sd of 3 seeds) of effective pairs"
    assert kd == (
        f"kd: {share} at 1 aligned site (best baseline 0.500), above its baselines at 0; "
        f"{share} at 1 other site (best baseline 0.500), above its baselines at 0."
    )
    assert diito.startswith("diito: 0.800 ± 0.000") and "above its baselines at 1" in diito


@pytest.mark.parametrize(
    "report",
    [
        two_sites(lambda *_: 0.4),  # below the best guess
        two_sites(lambda *_: 0.55, q=0.2),  # above it, but that may be chance
        two_sites(lambda name, seed, aligned: 0.9 if seed == 0 else 0.5, seeds=(0, 1)),  # in one seed of two
    ],
)
def test_a_student_within_its_baselines_is_no_evidence(report):
    assert verdict(report)[0].startswith(
        "Nothing shows that the student computes as the teacher does at the aligned site;"
    )
    assert not any("One seed" in sentence for sentence in verdict(report))


def test_few_pairs_and_unreachable_sites_say_nothing():
    for report in (two_sites(lambda *_: 1.0, effective=29), two_sites(lambda *_: 1.0, reachable=False)):
        assert verdict(report)[0].startswith("Nothing can be concluded: no aligned site")
        assert student_sentences(report) == ("student: no site has enough effective pairs.",)
    assert verdict(two_sites(lambda *_: 1.0, effective=29))[-1].startswith("Few effective pairs: at the one ")


def test_a_baseline_that_explains_everything_is_not_exceeded_by_a_perfect_score():
    report = two_sites(lambda *_: 1.0)
    perfect = [
        dataclasses.replace(row, iia_effective=1.0, q_value=1.0) if row.baseline == "majority_class" else row
        for row in report.interchange
    ]
    assert "Nothing shows that" in verdict(dataclasses.replace(report, interchange=tuple(perfect)))[0]


def test_only_students_that_do_as_well_elsewhere_are_named_as_such():
    report = two_sites(lambda *_: 0.8, students=("kd", "diito"))
    report = at_another_layer(report, lambda name, _: {"kd": 0.9, "diito": 0.3}[name], 0.001)
    (said,) = (sentence for sentence in verdict(report) if "layer is not shown to matter at" in sentence)
    assert "at the 2 sites at which kd is above its baselines: there" in said and "diito" not in said


def test_of_many_students_those_above_at_other_sites_are_counted():
    names = tuple(f"s{index}" for index in range(9))
    report = two_sites(lambda name, *_: 0.8 if name in ("s1", "s5") else 0.4, students=names)
    told = (
        "At the one other site, where no student was trained with interventions, 2 of 9 students are above their "
        "baselines at a site (paired tests, corrected for the number of sites)."
    )
    assert told in verdict(report)


def _trained_on(objectives):
    report = two_sites(lambda *_: 0.8, students=tuple(objectives))
    students = tuple(dataclasses.replace(each, objectives=objectives[each.name]) for each in report.students)
    return dataclasses.replace(report, students=students)


@pytest.mark.parametrize(
    ("objectives", "told"),
    [
        (
            {"kd": {"response_kd": 1.0}, "diito": {"task": 1.0, "diito": 0.5}},
            "The comparison at the aligned site is not even: diito was trained there with interventions, kd was not.",
        ),
        (
            {"a": {"diito": 1.0}, "b": {"diito_hidden": 1.0}},
            "a and b were trained at the aligned site with interventions, so a high score is expected there.",
        ),
        ({"kd": {"response_kd": 1.0, "diito": 0.0}}, None),
        (
            {"kd": {"an_objective_from_outside": 1.0}, "diito": {"diito": 1.0}},
            "diito was trained at the aligned site with interventions, so ",
        ),
    ],
)
def test_it_is_told_which_students_were_trained_at_the_aligned_site(objectives, told):
    found = [line for line in verdict(_trained_on(objectives)) if "trained at the" in line or "not even" in line]
    assert len(found) == (told is not None) and all(line.startswith(told) for line in found)


def test_sites_with_few_effective_pairs_are_told_to_be_left_out():
    (told,) = (line for line in verdict(example_report(seeds=1)) if "other sites" in line and "matches" in line)
    assert told.startswith(
        "On average over the 3 of 5 other sites that have at least 30 effective pairs (360 to 420, each counted "
        "alike), where no "
    )


def test_a_measurement_without_a_finite_number_is_told():
    report = two_sites(lambda *_: 0.8)
    students = tuple(dataclasses.replace(each, task_metric=float("nan")) for each in report.students)
    told = "Some measurements gave no finite number, so a model may have diverged; they are listed below."
    assert told in verdict(dataclasses.replace(report, students=students)) and told not in verdict(report)
