import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.figures.style import to_svg
from analysis.figures.teaching_modes import (
    accuracy_by_mode,
    coloured_modes,
    larger_teachers,
    teaching_shares,
    uncertainty_distribution,
)
from causalkd.verification.results.teaching import ModeAccuracy, TeachingModes


def _modes(scale: float, easy: int = 1) -> TeachingModes:
    unc = scale * np.array([0.1, 0.2, 0.8, 0.6])
    return TeachingModes(
        text=np.array([0, 0, 0, 1]),
        position=np.array([1, 3, 4, 2]),
        uncertainty=unc,
        hard=unc >= np.sort(unc)[easy],
        target=np.full(4, 0.5),
        diversity=np.full(4, 2.0),
    )


def _legend(figure: Figure) -> list[str]:
    """The entries of a figure's legend, which must lie below everything that is drawn."""
    (legend,) = figure.legends
    FigureCanvasAgg(figure).draw()
    top = legend.get_window_extent().y1
    assert all(top <= ax.get_tightbbox().y0 for ax in figure.axes), "the legend covers a panel"
    return [text.get_text() for text in legend.get_texts()]


def test_the_distribution_is_cumulative_with_a_dot_where_hard_tokens_start():
    figure = uncertainty_distribution({"small": _modes(1.0), "large": _modes(0.5, easy=3)})
    (ax,) = figure.axes
    curve, dot, _, other = ax.get_lines()
    assert curve.get_xdata().tolist() == [0.1, 0.2, 0.6, 0.8] and curve.get_ydata().tolist() == [0.25, 0.5, 0.75, 1.0]
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (0.2, 0.5)
    assert (other.get_xdata()[0], other.get_ydata()[0]) == (0.4, 1.0)
    assert _legend(figure) == ["small (n = 4)", "large (n = 4)"]


def test_the_factor_suppresses_diversity_and_it_is_drawn():
    figure = larger_teachers({"small": _modes(1.0), "large": _modes(0.5)})
    left, middle, right = figure.axes
    heights = [bar.get_height() for bar in left.patches]
    assert heights == pytest.approx([0.425, 0.2125])
    assert [bar.get_height() for bar in middle.patches] == pytest.approx([2.0, 2.0, 0.85, 0.425, 0.5, 0.5])
    assert [bar.get_height() for bar in right.patches] == pytest.approx([0.85 / 1.35, 0.425 / 0.925])
    assert middle.get_ylabel() == "nats a token"
    assert _legend(figure) == ["DKD", "UNC · DKD", "TKD"]


def test_the_share_of_the_target_term_along_training():
    rows = [
        {"student": "kd", "seed": seed, "step": step, "term/target": 0.2, "term/forward_kl": 0.4 + 0.1 * step}
        for seed in (0, 1)
        for step in (0, 6)
    ]
    figure = teaching_shares([*rows, {"student": "teacher", "seed": 0, "step": 1, "term/task": 1.0}])
    (ax,) = figure.axes
    assert [line.get_ydata() for line in ax.get_lines()] == [pytest.approx([0.5, 0.2])] * 2
    assert _legend(figure) == ["kd"]
    with pytest.raises(ValueError, match="no row of the metrics holds term/target and term/forward_kl"):
        teaching_shares([{"student": "kd", "seed": 0, "step": 1, "term/task": 1.0}])


def test_tokens_are_coloured_by_mode():
    figure = coloured_modes([["[BOS]", "ann", "went", "to", "attic"]], _modes(1.0), 0)
    words = {text.get_text(): text for text in figure.axes[0].texts}
    assert "text 0: 1 easy tokens, 2 hard" in words
    colours = [patch.get_facecolor()[:3] for patch in figure.axes[0].patches]
    neutral, easy, hard = colours[0], colours[1], colours[4]
    assert neutral == pytest.approx(colours[2])
    assert easy[2] > easy[0] and hard[0] > hard[2]  # blue, red
    with pytest.raises(ValueError, match=r"no token of text 7 is labelled; the modes are of texts \[0, 1\]"):
        coloured_modes([["a"]], _modes(1.0), 7)


def test_accuracy_over_easy_and_hard_tokens():
    scores = (ModeAccuracy("late", "easy", 0.9, None, 0, 20), ModeAccuracy("late", "hard", 0.6, 0.5, 4, 20))
    (ax,) = accuracy_by_mode({"kd": scores}).axes
    assert ax.get_title() == "late"
    assert [bar.get_height() for bar in ax.patches] == [0.0, 0.5]
    assert [text.get_text() for text in ax.texts] == ["none"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["kd\nn = 0/4"]
    (ax,) = accuracy_by_mode({"kd": scores}, "iia").axes
    assert [bar.get_height() for bar in ax.patches] == [0.9, 0.6]


def test_nothing_to_draw():
    for draw in (uncertainty_distribution, larger_teachers):
        with pytest.raises(ValueError, match="no teacher's modes were given"):
            draw({})
    with pytest.raises(ValueError, match="0 students and the measure 'iia' were given"):
        accuracy_by_mode({}, "iia")


def test_the_same_modes_give_the_same_bytes():
    assert to_svg(larger_teachers({"a": _modes(1.0)})) == to_svg(larger_teachers({"a": _modes(1.0)}))
