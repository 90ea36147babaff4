from analysis.attribution_section import agreement_lines, attribution_figures, gap_lines
from tests.example_maps import example_maps, example_results


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


def test_texts_are_shown_where_maps_are_there() -> None:
    results, maps = example_results(), {name: example_maps(seed=n)[0] for n, name in enumerate(("teacher", "kd-seed0"))}
    assert len(attribution_figures(results, {})) == 1
    (_, first), (_, second) = attribution_figures(results, maps)  # adkd's are not there
    assert "at the same relative depth" in first and "the teacher and kd, seed 0, disagree most" in second
