import dataclasses

import pytest

from analysis.pages.page_tables import cell_lines, difference_lines, environment_facts, truth_tables
from analysis.pages.report_page import render
from causalkd.verification.results.baselines import BASELINES
from causalkd.verification.results.rows import GroundTruthRow
from tests.example_report import example_report, full_report


def test_every_measured_cell_has_its_baselines_beside_it():
    report = example_report(seeds=1)
    cells = cell_lines(report)
    assert len(cells) == sum(row.baseline == "measured" for row in report.interchange)
    (aligned,) = (cell for cell in cells if cell["aligned"] and cell["student"] == "diito")
    rows = {row.baseline: row.iia_effective for row in report.interchange if row.aligned and row.student == "diito"}
    assert aligned["baselines"] == [rows.get(name) for name in BASELINES]


def test_every_cell_has_its_kind_and_all_layers_of_its_sites():
    cells = {(cell["pair"], cell["teacher_layer"], cell["student_layer"]): cell for cell in cell_lines(full_report())}
    own, near = cells["full_1", 2, 1], cells["grid:full_0", 3, 1]
    assert (own["kind"], own["teacher_layers"], own["student_layers"]) == ("aligned", "2 and 3", "1")
    assert (near["kind"], near["teacher_layers"]) == ("touched", "3")
    assert cells["grid:full_0", 0, 1]["kind"] == "other"


def test_a_page_speaks_of_the_kinds_of_sites_that_it_has(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("analysis.pages.report_page._sections", lambda report: [])  # no figures, which take time
    report, plain = full_report(("kd",)), example_report(("kd",), seeds=1)
    alone = dataclasses.replace(report, interchange=tuple(row for row in report.interchange if row.aligned))
    for each, touched, other in ((report, True, True), (plain, False, True), (alone, False, False)):
        page = render(each)
        for text in ("<b>Touched sites</b>", '<td class="left">touched</td>', "(touched)"):
            assert (text in page) == touched
        assert ("<b>other sites</b>" in page) == (">other sites</th>" in page) == other
        assert ("<td>0 and 1</td>" in page) == (each is not plain)


def test_differences_are_named_by_all_layers_and_stand_where_they_belong():
    report = full_report()
    (line,) = difference_lines(report, between=True)
    assert (line["layers"], line["student"], line["reference"]) == ("0 and 1 → 0", "diito", "kd")
    assert difference_lines(report, between=False) == []


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
