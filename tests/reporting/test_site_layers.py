import dataclasses

from causalkd.alignment.presets import preset
from causalkd.reporting.site_layers import site_layers, written
from tests.example_report import example_report


def test_a_declared_pair_has_the_layers_of_all_its_sites_and_another_cell_its_own():
    report = dataclasses.replace(example_report(), alignment=preset("full", 4, 2))
    row = dataclasses.replace(report.interchange[0], pair="full_1", teacher_layer=2, student_layer=1, aligned=True)
    assert site_layers(report, row) == ((2, 3), (1,))
    assert site_layers(report, dataclasses.replace(row, pair="grid:full_0", aligned=False)) == ((2,), (1,))


def test_layers_are_written_as_a_list():
    assert [written(layers) for layers in ((3,), (0, 1), (0, 1, 2))] == ["3", "0 and 1", "0, 1 and 2"]
