import dataclasses

from analysis.figures.grids import find_grids, find_heads
from causalkd.data.pairs.position_policy import PositionPolicy
from tests.example_report import example_report


def test_a_grid_holds_every_site_including_the_aligned_one():
    (grid,) = find_grids(example_report(), "diito", 0)
    assert (grid.positions, grid.axes) == ("premise", ("teacher layer (block_output)", "student layer (block_output)"))
    assert (grid.teacher_layers, grid.student_layers) == ((0, 1, 2, 3), (0, 1))
    assert all((t, s, "measured") in grid.cells for t in range(4) for s in range(2))
    assert grid.cells[1, 0, "measured"].aligned


def test_values_are_those_of_the_student_and_seed():
    report = example_report()
    (grid,) = find_grids(report, "kd", 2)
    (row,) = (
        r
        for r in report.interchange
        if (r.student, r.seed, r.baseline, r.teacher_layer, r.student_layer) == ("kd", 2, "measured", 2, 1)
    )
    assert grid.value(2, 1, "iia") == row.iia
    assert grid.value(2, 1, "iia_effective") == row.iia_effective
    assert grid.value(0, 0, "iia_effective") is None
    assert grid.value(9, 9, "iia") is None


def test_above_baseline_takes_the_best_baseline_of_the_site():
    (grid,) = find_grids(example_report(), "diito", 0)
    best = max(grid.value(1, 0, "iia_effective", c) for c in ("majority_class", "permuted_source", "untrained_student"))
    assert grid.above_baseline(1, 0, "iia_effective") == grid.value(1, 0, "iia_effective") - best
    assert grid.above_baseline(0, 0, "iia_effective") is None


def _named(rows, cell, name):
    """The rows with another pair's name at one cell."""
    return [
        dataclasses.replace(row, pair=name) if (row.teacher_layer, row.student_layer) == cell else row for row in rows
    ]


def _with_pairs(report, rows, **positions):
    """The report with further declared pairs; each has the positions that are given, or those of `premise`."""
    (first,) = report.alignment.pairs
    further = [first.model_copy(update={"name": name, "positions": own}) for name, own in positions.items()]
    alignment = report.alignment.model_copy(update={"pairs": (first, *further)})
    return dataclasses.replace(report, alignment=alignment, interchange=tuple(rows))


def test_two_choices_of_positions_are_two_grids_and_each_keeps_its_own_pairs():
    """`premise` and `late` are pairs of one choice of positions; `verb` is one of another, at the cell of `late`."""
    report = example_report()
    other = [dataclasses.replace(row, pair="grid:verb", iia=0.123) for row in report.interchange]
    rows = [*_named(report.interchange, (2, 1), "late"), *_named(other, (2, 1), "verb")]
    verbs = PositionPolicy(policy="segments", segments=("verb",))
    premise, verb = find_grids(_with_pairs(report, rows, late=None, verb=verbs), "kd", 0)
    assert (premise.positions, verb.positions) == ("premise", "verb")
    assert {row.iia for row in verb.cells.values()} == {0.123}
    assert 0.123 not in {row.iia for row in premise.cells.values()}
    assert premise.cells[2, 1, "measured"].pair == "late" and verb.cells[2, 1, "measured"].pair == "verb"
    assert len(premise.cells) == len(verb.cells) == 4 * 2 * 5


def test_a_pair_of_a_part_of_a_site_is_no_cell():
    report = example_report()
    rows = _named(report.interchange, (2, 1), "late")
    parts = [dataclasses.replace(row, pair="part", iia=0.123) for row in rows if row.pair in ("late", "premise")]
    (grid,) = find_grids(_with_pairs(report, [*rows, *parts], late=None, part=None), "kd", 0)
    assert grid.cells[2, 1, "measured"].pair == "late" and grid.cells[1, 0, "measured"].pair == "premise"
    assert 0.123 not in {row.iia for row in grid.cells.values()}


def test_each_component_has_a_grid_of_its_own():
    report = example_report()
    grid_rows = [row for row in report.interchange if row.pair.startswith("grid:")]
    other = [dataclasses.replace(row, component="mlp_output", aligned=False, iia=0.25) for row in grid_rows]
    report = dataclasses.replace(report, interchange=(*report.interchange, *other))
    blocks, mlps = find_grids(report, "kd", 0)
    assert "block_output" in blocks.axes[0] and "mlp_output" in mlps.axes[0]
    assert blocks.value(2, 1, "iia") != 0.25 and mlps.value(2, 1, "iia") == 0.25


def test_heads_are_grids_of_their_own():
    report = example_report()
    assert find_heads(report, "kd", 0) == []
    row = next(row for row in report.interchange if row.student == "kd")
    heads = tuple(
        dataclasses.replace(row, pair="late", head=t, student_head=s, iia_effective=t / 4 + s / 8)
        for t in range(3)
        for s in range(2)
    )
    (grid,) = find_heads(dataclasses.replace(report, heads=heads), "kd", 0)
    assert (grid.teacher_layers, grid.student_layers, grid.positions) == ((0, 1, 2), (0, 1), "late")
    assert grid.value(2, 1, "iia_effective") == 0.625 and grid.axes == (
        "teacher head (layer 0)",
        "student head (layer 0)",
    )


def test_single_pairs_are_no_grid():
    report = example_report()
    pairs = tuple(row for row in report.interchange if row.aligned)
    assert find_grids(dataclasses.replace(report, interchange=pairs), "kd", 0) == []
