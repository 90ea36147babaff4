import dataclasses

import pytest
from matplotlib.patches import Rectangle

from analysis.figures.grids import find_grids
from analysis.figures.interchange_maps import interchange_maps
from analysis.figures.style import to_svg
from tests.example_report import example_report


@pytest.fixture(scope="module")
def report():
    return example_report()


def _panels(figure):
    return [ax for ax in figure.axes if ax.get_xlabel()]


def _texts(ax):
    return {(t.get_position()): t.get_text() for t in ax.texts}


def test_axes_carry_names_and_every_layer(report):
    left, right = _panels(interchange_maps(report))
    assert left.get_ylabel() == "teacher layer (block_output)"
    assert [ax.get_xlabel() for ax in (left, right)] == ["student layer (block_output)"] * 2
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["0", "1", "2", "3"]
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["0", "1"]
    assert [ax.get_title() for ax in (left, right)] == ["kd\nseed 0", "diito\nseed 0"]


def test_cells_show_their_value(report):
    (grid,) = find_grids(report, "diito", 0)
    _, panel = _panels(interchange_maps(report))
    assert _texts(panel)[0, 1] == f"{grid.value(1, 0, 'iia_effective'):.2f}"
    assert _texts(panel)[0, 0] == "–"  # no effective pair
    assert (0, 3) not in _texts(panel)  # unreachable
    _, panel = _panels(interchange_maps(report, above_baseline=True))
    assert _texts(panel)[0, 1] == f"{grid.above_baseline(1, 0, 'iia_effective'):+.2f}"


def test_the_aligned_site_is_outlined_and_the_unreachable_are_hatched(report):
    panel = _panels(interchange_maps(report))[0]
    cells = [patch for patch in panel.patches if isinstance(patch, Rectangle)]
    outlines = [patch for patch in cells if not patch.get_fill()]
    assert [(patch.get_x() + 0.5, patch.get_y() + 0.5) for patch in outlines] == [(0, 1)]
    hatched = {(round(p.get_x() + 0.47), round(p.get_y() + 0.47)) for p in cells if p.get_hatch()}
    assert hatched == {(0, 3), (1, 3)}


def test_n_and_chance_are_drawn(report):
    (grid,) = find_grids(report, "diito", 0)
    svg = to_svg(interchange_maps(report))
    assert f"n = {grid.cells[1, 0, 'measured'].effective_pairs}" in svg
    assert "majority class (mean 0.5" in svg
    assert "effective IIA (share of effective predictions)" in svg
    svg = to_svg(interchange_maps(report, "iia"))
    assert "n = 1200" in svg and "IIA (share of predictions)" in svg
    assert "best baseline" in to_svg(interchange_maps(report, above_baseline=True))


def test_a_cell_without_a_value_says_why(report):
    assert "no effective pair" in to_svg(interchange_maps(report))
    rows = tuple(
        dataclasses.replace(row, iia_effective=None) if row.baseline == "measured" else row
        for row in report.interchange
    )
    lost = to_svg(interchange_maps(dataclasses.replace(report, interchange=rows)))
    assert "no finite number" in lost and "no effective pair" not in lost


def test_the_same_report_gives_the_same_bytes():
    small = example_report(("kd",), seeds=1, layers=(2, 1), trained=(0, 0))
    assert to_svg(interchange_maps(small)) == to_svg(interchange_maps(small))


def test_other_depths_and_positions_have_panels_of_their_own():
    report = example_report(("kd", "diito", "crossway"), 1, (6, 3), (3, 1))
    other = [dataclasses.replace(row, pair=row.pair.replace("premise", "verb")) for row in report.interchange]
    figure = interchange_maps(dataclasses.replace(report, interchange=(*report.interchange, *other)))
    assert len(_panels(figure)) == 6
    assert "positions of 'verb'" in _panels(figure)[-1].get_title()


def test_a_report_of_single_pairs_has_no_map(report):
    single = dataclasses.replace(report, interchange=tuple(row for row in report.interchange if row.aligned))
    with pytest.raises(ValueError, match="holds no grid of layers"):
        interchange_maps(single)
