import dataclasses

from causalkd.verification.results.interchange_rows import DifferenceRow
from causalkd.verification.results.site_layers import arrow, named, site_layers, written
from tests.example_report import full_report


def test_a_declared_pair_has_the_layers_of_all_its_sites_and_another_cell_its_own():
    report = full_report()
    row = next(row for row in report.interchange if row.pair == "full_1")
    assert row.aligned and site_layers(report.alignment, row) == ((2, 3), (1,))
    assert arrow(report.alignment, row) == "2 and 3 → 1"
    for pair in ("grid:full_1", "full_1"):  # heads are compared under the name of a pair, layer by layer
        assert site_layers(report.alignment, dataclasses.replace(row, pair=pair, aligned=False)) == ((2,), (1,))
    values = ("iia", 40, 0.1, 0.0, 0.2)
    difference = DifferenceRow("diito", 0, "kd", "measured", "full_0", 0, 0, *values)
    assert arrow(report.alignment, difference) == "0 and 1 → 0"


def test_layers_are_written_as_a_list():
    assert [written(layers) for layers in ((3,), (0, 1), (0, 1, 2))] == ["3", "0 and 1", "0, 1 and 2"]
    assert [named(layers) for layers in ((3,), (0, 1))] == ["layer 3", "layers 0 and 1"]
