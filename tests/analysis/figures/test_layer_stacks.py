import dataclasses
import re
from xml.etree import ElementTree

import pytest

from analysis.figures.layer_stacks import joins, layer_stacks, scale
from causalkd.alignment.presets import preset
from causalkd.alignment.spec import Site, SitePair
from tests.example_report import example_report

SVG = "{http://www.w3.org/2000/svg}"


def _parsed(picture):
    return ElementTree.fromstring(str(picture).replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))


@pytest.fixture(scope="module")
def report():
    return example_report()


def test_the_aligned_layers_are_joined_with_their_exact_numbers(report):
    (join,) = joins(report, "diito")
    measured = [r for r in report.interchange if r.student == "diito" and r.aligned and r.baseline == "measured"]
    assert join.layers == ((1,), (0,)) and join.reachable
    assert join.value == pytest.approx(sum(row.iia_effective for row in measured) / 3)
    assert join.meaning == (
        "teacher layer 1 and student layer 0 (block_output): effective IIA 88.8%, mean of 3 on 360 effective pairs, "
        "best baseline 55.8%"
    )


def test_the_best_baseline_is_a_mean_as_the_accuracy_beside_it_is(report):
    """Two pairs at one cell, of which one has twice the accuracy and twice the best baseline.

    One that has few pairs, or that cannot reach the output, is in neither mean."""
    shown = [
        ("one", 200, True, {"measured": 0.9, "majority_class": 0.8, "permuted_source": 0.1}),
        ("two", 150, True, {"measured": 0.3, "majority_class": 0.1, "permuted_source": 0.2}),
        ("few", 29, True, {"measured": 1.0, "majority_class": 1.0}),
        ("lost", 500, False, {"measured": 1.0, "majority_class": 1.0}),
    ]
    first = next(row for row in report.interchange if row.aligned and row.student == "kd")
    rows = [
        dataclasses.replace(
            first,
            pair=pair,
            component="mlp_output" if pair == "two" else "block_output",
            baseline=baseline,
            effective_pairs=pairs,
            reachable=reachable,
            iia_effective=value,
        )
        for pair, pairs, reachable, values in shown
        for baseline, value in values.items()
    ]
    (join,) = joins(dataclasses.replace(report, interchange=tuple(rows)), "kd")
    assert join.value == pytest.approx(0.6)
    assert "(block_output, mlp_output): effective" in join.meaning
    assert join.meaning.endswith("60.0%, mean of 2 on 150 to 200 effective pairs, best baseline 50.0%")


def test_a_pair_of_several_layers_is_joined_with_all_of_them_and_a_layer_of_several_pairs_shows_none(report):
    alignment = preset("full", 4, 2)
    alignment = alignment.model_copy(
        update={"pairs": (*alignment.pairs, SitePair(name="late", teacher=(Site(layer=3),), student=(Site(layer=1),)))}
    )
    first = next(
        row for row in report.interchange if row.aligned and row.student == "kd" and row.baseline == "measured"
    )
    values = {"full_0": (0, 0, 0.95), "full_1": (2, 1, 0.9), "late": (3, 1, 0.3)}
    rows = [
        dataclasses.replace(first, pair=pair, teacher_layer=t, student_layer=s, iia_effective=value)
        for pair, (t, s, value) in values.items()
    ]
    rows.append(dataclasses.replace(first, pair="grid:full_0", teacher_layer=1, aligned=False, touched=True))
    report = dataclasses.replace(report, alignment=alignment, interchange=tuple(rows))
    assert {(join.layers, join.value) for join in joins(report, "kd")} == {
        (((0, 1), (0,)), 0.95), (((2, 3), (1,)), 0.9), (((3,), (1,)), 0.3)
    }  # fmt: skip
    picture = _parsed(layer_stacks(report, "kd"))
    texts = [text.text for text in picture.findall(f".//{SVG}text")]
    assert "layer 0: 95.0%" in texts and "layer 1: 2 pairs" in texts and texts.count("layer 3") == 1
    assert [path.get("d").count("M") for path in picture.findall(f".//{SVG}path")] == [2, 2, 2, 2, 1, 1]
    assert "teacher layers 0 and 1 and student layer 0 (block_output)" in picture.get("aria-label")


def test_every_layer_is_a_box_and_every_join_a_line_with_a_tooltip(report):
    picture = _parsed(layer_stacks(report, "diito"))
    assert len(picture.findall(f".//{SVG}rect")) == 4 + 2 and len(picture.findall(f".//{SVG}path")) == 2
    titles = [title.text for title in picture.findall(f".//{SVG}title")]
    assert sum("effective IIA 88.8%" in title for title in titles) == 2  # the line and the student's box
    assert "effective IIA 88.8%" in picture.get("aria-label") and picture.get("role") == "img"
    assert "layer 0: 88.8%" in [text.text for text in picture.findall(f".//{SVG}text")]


def test_deep_models_fit_and_their_letters_stay_inside_the_boxes():
    picture = str(layer_stacks(example_report(("kd",), 1, (24, 12), (12, 6)), "kd"))
    heights = [float(found) for found in re.findall(r'height="([\d.]+)"', picture)]
    sizes = [float(found) for found in re.findall(r"font-size: ([\d.]+)px", picture)]
    assert len(heights) == 24 + 12 and min(sizes) <= min(heights)
    assert float(re.search(r'viewBox="0 0 300.0 ([\d.]+)"', picture)[1]) < 450


def test_what_was_not_measured_has_no_colour(report):
    few = dataclasses.replace(
        report, interchange=tuple(dataclasses.replace(row, effective_pairs=29) for row in report.interchange)
    )
    (join,) = joins(few, "kd")
    assert join.value is None and join.meaning.endswith("fewer than 30 effective pairs")
    assert "layer 0: few pairs" in str(layer_stacks(few, "kd"))
    lost = dataclasses.replace(
        report, interchange=tuple(dataclasses.replace(row, reachable=False) for row in report.interchange)
    )
    assert joins(lost, "kd")[0].meaning.endswith("the intervention cannot reach the output")


def test_long_names_are_shortened_and_names_are_no_markup():
    name = "<b>a-student-whose-name-is-forty-letters"
    picture = str(layer_stacks(example_report((name,), seeds=1), name))
    assert "<b>" not in picture and "&lt;b&gt;a-stud…tters" in picture
    _parsed(picture)


def test_the_scale_runs_from_zero_to_one():
    assert scale().startswith("linear-gradient(to right, #") and scale().count("#") == 9
