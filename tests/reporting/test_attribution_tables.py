import dataclasses

import pytest

from causalkd.reporting.attribution_tables import as_markdown, distance_rows
from tests.example_maps import example_distances, example_results
from tests.example_report import example_report


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_for_the_teacher_every_seed_and_every_mean() -> None:
    report = example_report(("kd", "adkd"), seeds=2)
    table = as_markdown(dataclasses.replace(report, attribution=example_results(("kd", "adkd"), seeds=2)))
    heads, rule, *rows = (_cells(line) for line in table.splitlines()[:9])
    assert set(rule) == {"---"} and {len(row) for row in rows} == {len(heads)} == {12}
    seeds = [("teacher", ""), *((name, seed) for name in ("kd", "adkd") for seed in ("0", "1", "mean"))]
    assert [(row[0], row[1]) for row in rows] == seeds
    named = {(row[0], row[1]): dict(zip(heads, row, strict=True)) for row in rows}
    first, average, teacher = named["adkd", "0"], named["adkd", "mean"], named["teacher", ""]
    assert first["cosine (95 %)"] == "0.500 (0.450 to 0.550)" and average["cosine (95 %)"] == "0.505"
    assert (first["random map"], first["untrained"], first["Spearman"]) == ("0.000", "0.100", "0.450")
    assert (first["comprehensiveness ↑"], first["sufficiency ↓"], first["random order"]) == ("0.750", "0.250", "0.500")
    assert (teacher["accuracy"], teacher["cosine (95 %)"], teacher["comprehensiveness ↑"]) == ("0.992", "", "0.800")
    (row,) = (r for r in report.interchange if r.aligned and (r.student, r.seed, r.baseline) == ("adkd", 0, "measured"))
    assert row.iia_effective is not None and first["effective IIA (95 %)"].startswith(f"{row.iia_effective:.3f} (")
    assert table.endswith("\n\n64 texts; every class: entailment, contradiction, neutral; 32 steps from mean\n")


def test_a_report_without_maps() -> None:
    with pytest.raises(ValueError, match="holds no attribution maps; `causalkd attribute RUN` makes them"):
        as_markdown(example_report(("kd",), seeds=1))


def test_a_row_for_each_student_and_term_that_was_learned() -> None:
    results = dataclasses.replace(example_results(("kd", "adkd")), map_distances=example_distances(("kd", "adkd")))
    heads, *rows = distance_rows(results)
    assert heads == ("trained on it", "student", "distance of maps", "untrained student", "texts")
    assert rows == [
        ("adkd", "kd", "0.0550 ± 0.0071", "0.4050 ± 0.0071", "128"),
        ("adkd", "adkd", "0.0350 ± 0.0071", "0.4050 ± 0.0071", "128"),
    ]
    one = dataclasses.replace(results, map_distances=example_distances(("kd",), seeds=1))
    assert distance_rows(one)[1:] == [("kd", "kd", "0.0500", "0.4000", "128")]
    rows = (dataclasses.replace(row, distance=row.distance * 1e-5) for row in one.map_distances)
    small = dataclasses.replace(one, map_distances=tuple(rows))
    assert distance_rows(small)[1:] == [("kd", "kd", "5.00e-07", "4.00e-06", "128")]
