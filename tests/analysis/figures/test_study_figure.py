from pathlib import Path

import pytest

from analysis.figures.study_figure import study_figure
from causalkd.reporting.study_table import study_table
from tests.example_study import ACCURACIES, example_results, example_study


def test_a_point_a_seed_and_a_panel_a_measure(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    figure = study_figure(study_table(study, example_results(study)), ["accuracy", "agreement"])
    assert [axes.get_xlabel() for axes in figure.axes] == ["accuracy", "agreement"]
    drawn = [tuple(float(x) for x, _ in points.get_offsets()) for points in figure.axes[0].collections]  # type: ignore[union-attr]
    assert drawn == [pytest.approx(values) for values in ACCURACIES.values()]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(ACCURACIES)


def test_one_field_of_the_grid_is_the_axis(tmp_path: Path) -> None:
    study = example_study(tmp_path, grid={"data.max_length": [50, 100]})
    (axes, *_) = study_figure(study_table(study, example_results(study))).axes
    assert axes.get_xlabel() == "data.max_length" and axes.get_ylabel() == "accuracy"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["50", "100"]
    assert [line.get_label() for line in axes.get_lines()] == list(ACCURACIES)


@pytest.mark.parametrize("grid", [{}, {"data.max_length": [50, 100]}])
def test_the_best_baseline_is_a_dashed_line_with_and_without_a_field(
    tmp_path: Path, grid: dict[str, list[int]]
) -> None:
    study = example_study(tmp_path, grid=grid)
    table = study_table(study, example_results(study))
    names = ["effective IIA at declared pairs", "best baseline at declared pairs"]
    (axes,) = study_figure(table, names).axes
    styles = [line.get_linestyle() for line in axes.get_lines()]
    assert styles.count("--") == styles.count("-") == (len(ACCURACIES) if grid else len(table.rows))


def test_an_unknown_measure_is_refused(tmp_path: Path) -> None:
    study = example_study(tmp_path)
    with pytest.raises(ValueError, match="there are no measures \\['f1'\\]; the study has accuracy"):
        study_figure(study_table(study, example_results(study)), ["f1"])
