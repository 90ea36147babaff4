import dataclasses

from analysis.pages.page_tables import cell_lines, environment_facts, truth_tables
from causalkd.verification.results.baselines import BASELINES
from causalkd.verification.results.rows import GroundTruthRow
from tests.example_report import example_report


def test_every_measured_cell_has_its_baselines_beside_it():
    report = example_report(seeds=1)
    cells = cell_lines(report)
    assert len(cells) == sum(row.baseline == "measured" for row in report.interchange)
    (aligned,) = (cell for cell in cells if cell["aligned"] and cell["student"] == "diito")
    rows = {row.baseline: row.iia_effective for row in report.interchange if row.aligned and row.student == "diito"}
    assert aligned["baselines"] == [rows.get(name) for name in BASELINES]


def test_the_causal_model_has_a_table_a_model_with_a_line_a_variable():
    row = GroundTruthRow(
        "teacher",
        None,
        "noun",
        "block_output",
        0,
        "p",
        0.9,
        0.8,
        0.7,
        0.9,
        64,
        200,
        {"a": 0.1, "b": 0.5, "c": None},
        0.1,
    )
    rows = [dataclasses.replace(row, layer=layer, variable=name) for name in ("noun", "verb") for layer in (0, 1)]
    later = dataclasses.replace(row, model="diito", seed=1)
    report = dataclasses.replace(example_report(seeds=2), ground_truth=(*rows, later))
    (table,) = truth_tables(report)
    assert (
        table.title == "teacher, positions of 'p'" and table.layers == (0, 1) and list(table.lines) == ["noun", "verb"]
    )
    assert table.best(row) == 0.5 and table.best(dataclasses.replace(row, baselines={})) is None


def test_the_environment_is_flat():
    facts = environment_facts(example_report())
    assert facts["torch"] == "2.13.0+cpu" and facts["attention"] == "sdpa" and facts["threads"] == "2"
