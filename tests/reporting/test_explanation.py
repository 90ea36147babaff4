import dataclasses

import pytest

from causalkd.alignment.spec import Alignment
from causalkd.models.hooks.hook_points import COMPONENTS
from causalkd.recipe.objectives import OBJECTIVES
from causalkd.reporting.explanation import _COMPONENTS, explanation, not_concluded, without_computing_alike
from tests.example_report import example_report, full_report
from tests.two_sites import two_sites


def test_two_sentences_say_what_this_run_did_and_counted():
    done, counted = explanation(example_report(seeds=1))
    assert "the output of a layer was replaced at the tokens of premise" in done
    assert "(360 of 1200 held-out pairs)" in counted and "the level to beat is the best baseline (5" in counted.lower()
    assert "(here: always guessing the commonest prediction)." in counted
    warned = not_concluded(example_report(seeds=1))
    assert warned[0] == "that another seed would give the same" and "the independent evidence" in warned[-1]


def test_the_best_baseline_is_the_headline_s_and_has_a_name_where_it_is_one():
    report = two_sites(lambda *_: 0.7, students=("kd", "diito"))
    assert "the best baseline (50.0%): the level that is" in explanation(report)[1]
    rows = tuple(
        dataclasses.replace(row, iia_effective=0.6)
        if (row.student, row.baseline) == ("diito", "permuted_source")
        else row
        for row in report.interchange
    )
    mixed = dataclasses.replace(report, interchange=rows)
    assert "the best baseline (50.0% to 60.0%): " in explanation(mixed)[1]
    assert without_computing_alike(mixed).endswith("as the teacher does")


def test_what_the_students_were_trained_with_is_told():
    first, second = example_report(seeds=1).students
    report = example_report(seeds=1)

    def told(*objectives):
        students = tuple(dataclasses.replace(first, name=name, objectives=own) for name, own in objectives)
        rows = tuple(dataclasses.replace(row, student=objectives[0][0]) for row in report.interchange if row.aligned)
        return explanation(dataclasses.replace(report, students=students, interchange=rows, differences=()))[0]

    kd, logged = {"task": 1.0, "response_kd": 1.0}, {"response_kd": 1.0, "dkd": 0.0}
    assert second.name == "diito" and "in the two models. Every student learned from the" in explanation(report)[0]
    assert told(("kd", kd)).endswith(" The student learned from the labels and the teacher's predictions.")
    assert told(("kd", kd), ("diito", kd | {"diito": 0.5})).endswith(
        " Every student learned from the labels and the teacher's predictions; diito also from the teacher's "
        "counterfactual predictions."
    )
    assert told(("kd", logged), ("atkd", {"atkd": 1.0})).endswith(
        " kd learned from the teacher's predictions; atkd learned from the teacher's predictions by teaching modes."
    )
    assert told(("kd", kd), ("unknown", {})).endswith("in the two models.")
    assert told(*((f"s{number}", kd) for number in range(9))).endswith("in the two models.")
    sentences = {told(("s", {key: 1.0})) for key in OBJECTIVES}
    assert len(sentences) == len(OBJECTIVES), "each objective has its own words"
    assert not any(f"from {key}" in each for each in sentences for key in OBJECTIVES), "words, not keys"
    assert told(("s", {"from_outside": 1.0})).endswith("learned from from_outside.")


def test_what_may_not_be_concluded_is_of_this_run():
    trained = example_report()
    assert "was trained there" in not_concluded(trained)[-1]
    assert not any("equal" in each for each in not_concluded(trained)), "every difference is beyond chance"
    students = tuple(dataclasses.replace(each, objectives={"response_kd": 1.0}) for each in trained.students)
    plain = not_concluded(dataclasses.replace(trained, students=students, differences=()))
    assert not any("trained there" in each for each in plain)
    assert plain[-1].startswith("that students are equal because no difference is shown")
    assert not any("equal" in each for each in not_concluded(example_report(("kd",))))


def test_what_is_said_of_sites_holds_for_pairs_of_several_layers_and_without_other_sites():
    report = full_report()
    alone = dataclasses.replace(report, interchange=tuple(row for row in report.interchange if row.aligned))
    assert "The aligned sites are what this run declares to correspond in the two models." in explanation(report)[0]
    assert not_concluded(report)[-1].endswith("expected to score high: the other sites are the independent evidence")
    assert not_concluded(alone)[-1].endswith("is expected to score high")
    other = tuple(row for row in report.interchange if not row.aligned)
    assert "aligned" not in not_concluded(dataclasses.replace(report, interchange=other))[-1]


def test_with_three_seeds_other_data_are_the_doubt():
    assert "other data or models would give the same" in not_concluded(example_report(seeds=3))[0]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("{policy: consecutive, fraction: 0.3}", "at one span of tokens"),
        ("{policy: first}", "at the first token"),
        ("{policy: last, maximum: 3}", "at the last 3 tokens"),
        ("{policy: all}", "at every token"),
        ("{policy: segments, segments: [place_1, place_2, asked]}", "at the tokens of place 1, place 2 and asked by"),
    ],
)
def test_positions_are_told_in_words(policy, said):
    report = example_report(seeds=1)
    text = report.alignment.to_yaml().replace("{policy: segments, segments: [premise]}", policy)
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("positions"))
    end = next(number for number, line in enumerate(lines) if line.startswith("pairs"))
    changed = Alignment.from_yaml("\n".join([*lines[:start], f"positions: {policy}", *lines[end:]]))
    assert said in explanation(dataclasses.replace(report, alignment=changed))[0]


def test_a_report_without_rows_has_its_sentences_too():
    empty = dataclasses.replace(example_report(), interchange=(), differences=())
    assert all(sentence.endswith(".") for sentence in explanation(empty))


def test_a_number_of_pairs_that_is_a_mean_over_sites_is_called_one():
    report = two_sites(lambda *_: 0.7)
    assert "held-out pairs):" in explanation(report)[1]
    both = tuple(dataclasses.replace(row, aligned=True) for row in report.interchange)
    assert "held-out pairs, on average over sites):" in explanation(dataclasses.replace(report, interchange=both))[1]


def test_several_components_are_listed_and_each_has_words():
    report = example_report(seeds=1)
    row = next(row for row in report.interchange if row.aligned)
    components = ("block_output", "attention_value_output", "mlp_output")
    rows = tuple(dataclasses.replace(row, component=component) for component in components)
    done, _ = explanation(dataclasses.replace(report, interchange=rows))
    assert (
        "the output of a layer, the output of a layer's attention heads and the MLP output of a layer were replaced at"
        in done
    )
    assert " by those that the same model computes for another input" in done
    assert set(_COMPONENTS) == set(COMPONENTS)
