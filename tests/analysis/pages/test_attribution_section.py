import dataclasses

import numpy as np

from analysis.pages.attribution_section import agreement_lines, attribution_figures, attribution_texts, gap_lines
from analysis.pages.text_views import SHOWN_VIEWS
from causalkd.verification.measures.map_scores import text_agreement
from tests.example_maps import VIEWS, example_maps, example_results


def test_a_line_for_each_student_and_seed_at_the_embedding() -> None:
    lines = agreement_lines(example_results())
    assert [(line.student, line.seed) for line in lines] == [("kd", 0), ("kd", 1), ("adkd", 0), ("adkd", 1)]
    first = lines[0]
    assert (first.own.cosine.mean, first.random_map.cosine.mean, first.untrained.cosine.mean) == (0.4, 0.0, 0.1)
    assert {row.layer for line in lines for row in (line.own, line.random_map, line.untrained)} == {0}


def test_the_gap_of_each_model_where_its_map_begins() -> None:
    rows = gap_lines(example_results())
    assert [(row.model, row.seed, row.hook_point) for row in rows][:3] == [
        ("teacher", None, "layer 0"), ("kd", 0, "layer 0"), ("kd", 1, "layer 0"),
    ]  # fmt: skip


def test_agreement_has_its_figure() -> None:
    ((_, caption),) = attribution_figures(example_results())
    assert "at the same relative depth" in caption


def test_texts_are_shown_where_maps_are_there_farthest_first_once_for_each_class() -> None:
    maps = {name: example_maps(seed=number)[0] for number, name in enumerate(("teacher", "kd-seed0", "adkd-seed0"))}
    found = attribution_texts(example_results(), maps)
    assert [view.title for view in found.views] == list(VIEWS)
    cosines = [text_agreement(maps["teacher"], maps[f"{name}-seed0"]) for name in ("kd", "adkd")]
    order = np.argsort(np.mean(cosines, axis=0))[:3]
    for number, view in enumerate(found.views):
        assert [passage.heading for passage in view.passages] == [f"Text {text}" for text in order]
        first = view.passages[0]
        assert [line.name for line in first.lines] == ["teacher", "kd", "adkd"]
        for line, folder in zip(first.lines, maps, strict=True):
            here = maps[folder].scores[number, order[0], : 5 + order[0]].double().numpy()
            assert [word.text for word in line.words] == [f"word{place}" for place in range(len(here))]
            assert [word.against for word in line.words] == [score < 0 for score in here]
            share = here[0] / np.abs(here).sum()
            assert line.words[0].meaning == f"{share:+.3f}".replace("-", "−")
        own, other = (maps[folder].scores[number, order[0]].double().numpy() for folder in ("teacher", "kd-seed0"))
        near = own @ other / np.linalg.norm(own) / np.linalg.norm(other)
        assert first.lines[1].note == f"cosine {near:+.3f}".replace("-", "−") and first.lines[0].note == ""


def test_without_maps_of_both_there_are_no_texts_and_only_students_with_maps_are_shown() -> None:
    teacher, student = (example_maps(seed=number)[0] for number in range(2))
    assert attribution_texts(example_results(), {}) is None
    assert attribution_texts(example_results(), {"teacher": teacher}) is None
    assert attribution_texts(example_results(), {"kd-seed0": student}) is None
    found = attribution_texts(example_results(), {"teacher": teacher, "kd-seed0": student, "kd-seed1": teacher})
    assert [line.name for line in found.views[0].passages[0].lines] == ["teacher", "kd"]


def test_views_that_differ_from_text_to_text_are_named_beside_the_text_and_many_are_not_all_shown() -> None:
    each = example_maps(views=1)[0]
    named = dataclasses.replace(
        each,
        scores=each.scores.repeat(14, 1, 1),
        gap=each.gap.repeat(14, 1),
        views=tuple(("Paris @ 5", "a @ 1", "b @ 2", "c @ 3") for _ in range(14)),
    )
    found = attribution_texts(example_results(), {"teacher": named, "kd-seed0": named})
    assert len(found.views) == SHOWN_VIEWS == 12 and found.key.endswith("2 more views are not shown.")
    assert found.views[1].title == "view 2"
    assert "Text 0: Paris @ 5" in [passage.heading for passage in found.views[0].passages]


def test_a_student_without_a_finite_number_has_no_colours() -> None:
    teacher, lost = example_maps()[0], example_maps(seed=1)[0]
    lost = dataclasses.replace(lost, scores=lost.scores * float("nan"))
    line = attribution_texts(example_results(), {"teacher": teacher, "kd-seed0": lost}).views[0].passages[0].lines[1]
    assert {word.background for word in line.words} == {""} and line.note == "cosine not defined"


def test_a_student_without_a_map_decides_nothing_about_the_texts_that_are_shown() -> None:
    """Its cosines are not defined, and a mean with them would be no number: the first texts were shown as farthest."""
    maps = {name: example_maps(seed=number)[0] for number, name in enumerate(("teacher", "kd-seed0", "adkd-seed0"))}
    maps["adkd-seed0"] = dataclasses.replace(maps["adkd-seed0"], scores=maps["adkd-seed0"].scores * 0)
    first = attribution_texts(example_results(), maps).views[0].passages
    order = np.argsort(text_agreement(maps["teacher"], maps["kd-seed0"]))
    assert [passage.heading for passage in first] == [f"Text {text}" for text in order[:3]]
    assert order[:3].tolist() != [0, 1, 2]
    assert [line.note for line in first[0].lines][2] == "cosine not defined"


def test_the_number_of_texts_is_a_range_where_measures_differ_in_it() -> None:
    line = agreement_lines(example_results())[0]
    whole = line.own.cosine.n
    assert line.texts == str(whole)
    none = dataclasses.replace(line.own, cosine=dataclasses.replace(line.own.cosine, n=0))
    assert dataclasses.replace(line, own=none).texts == f"0–{whole}"
