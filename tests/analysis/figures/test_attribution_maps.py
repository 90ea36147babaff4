import dataclasses

import numpy as np
import pytest

from analysis.figures.attribution_maps import agreement_by_layer, attribution_layers, signed_shares
from analysis.figures.style import to_svg
from causalkd.verification.results.attribution import Estimate
from tests.example_maps import example_maps, example_results


def test_shares_of_a_layer_add_up_to_one_in_size() -> None:
    np.testing.assert_allclose(signed_shares(np.array([1.0, -3.0])), [0.25, -0.75])
    assert signed_shares(np.zeros(2)).tolist() == [0, 0]


def test_tokens_against_layers_the_teacher_above_the_student() -> None:
    teacher, student = example_maps(layers=3), example_maps(layers=1, seed=1)
    figure = attribution_layers(teacher, student, 1, "adkd")
    panels = [ax for ax in figure.axes if ax.images]
    assert len(panels) == 6 and [ax.get_ylabel() for ax in panels[:2]] == ["teacher\nlayer", "adkd\nlayer"]
    assert [ax.get_title(loc="left") for ax in panels[::2]] == [
        f"view: {v}" for v in ("entailment", "contradiction", "neutral")
    ]
    assert [tick.get_text() for tick in panels[1].get_xticklabels()] == [
        f"word{place}" for place in range(6)
    ]  # no padding
    assert [tick.get_text() for tick in panels[0].get_yticklabels()] == ["embedding", "block 0", "block 1", "block 2"]
    assert panels[-1].get_xlabel() == "token of text 1 (n = 6)"
    shown = panels[0].images[0].get_array()
    np.testing.assert_allclose(shown[2], signed_shares(teacher[2].scores[0, 1, :6].numpy()), rtol=1e-6)
    assert any("signed share of the layer's attribution" in ax.get_ylabel() for ax in figure.axes)


def test_texts_that_are_not_there_or_not_the_same() -> None:
    teacher = example_maps()
    with pytest.raises(ValueError, match="there is no text 4; the maps have texts 0–3"):
        attribution_layers(teacher, teacher, 4)
    with pytest.raises(ValueError, match="text 0 is a different text for the student"):
        attribution_layers(teacher, example_maps(texts=3), 0)


def test_agreement_has_every_student_its_seeds_and_both_baselines() -> None:
    results = example_results()
    figure = agreement_by_layer(results)
    cosine = figure.axes[0]
    assert [ax.get_ylabel() for ax in figure.axes] == [
        "cosine (−1 to 1)", "Spearman correlation (−1 to 1)", "overlap of top tokens (share)",
    ]  # fmt: skip
    assert {ax.get_title() for ax in figure.axes} == {"n = 64 texts"}
    assert [tick.get_text() for tick in cosine.get_xticklabels()] == ["embedding", "block 0", "block 1"]
    # Two students: a mean and, for each of two seeds and three layers, an interval and a point; then two baselines.
    assert len(cosine.lines) == 2 * (1 + 2 * 3 * 2) + 2
    assert [value for value in cosine.lines[-2].get_ydata()] == [0, 0, 0]
    (mean,) = (line for line in cosine.lines[:13] if len(line.get_xdata()) == 3)
    np.testing.assert_allclose(mean.get_ydata(), [0.405, 0.455, 0.505])
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["kd", "adkd", "random map (chance)", "untrained student"]
    assert to_svg(figure) == to_svg(agreement_by_layer(results))


def test_each_measure_counts_its_own_texts() -> None:
    results = example_results()
    last = max(row.layer for row in results.agreement)
    rows = tuple(
        dataclasses.replace(row, spearman=Estimate(None, None, None, 0), overlap_chance=1.0)
        if row.layer == last
        else row
        for row in results.agreement
    )
    figure = agreement_by_layer(dataclasses.replace(results, agreement=rows))
    assert [ax.get_title() for ax in figure.axes] == ["n = 64 texts", "n = 0–64 texts", "n = 0–64 texts"]
    # An overlap that any map has is not drawn: neither points nor intervals of the last depth, nor the mean there.
    for ax, deepest in zip(figure.axes, (last, last - 1, last - 1), strict=True):
        shown = [x for line in ax.lines for x, y in zip(*line.get_data(), strict=True) if np.isfinite(y)]
        assert round(max(shown)) == deepest


def test_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="compare no student with the teacher"):
        agreement_by_layer(dataclasses.replace(example_results(), agreement=()))
