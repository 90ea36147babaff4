import dataclasses

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from analysis.figures.attribution_maps import signed_shares
from analysis.figures.coloured_text import coloured_text, disagreements
from analysis.figures.style import to_svg
from causalkd.verification.measures.map_scores import text_agreement
from tests.example_maps import example_maps

TEACHER, STUDENT = example_maps(seed=0)[0], example_maps(seed=1)[0]


def _texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def _cells(figure) -> list[Rectangle]:
    return [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]


def test_every_token_is_coloured_once_for_each_model() -> None:
    figure = coloured_text({"teacher": TEACHER, "kd": STUDENT}, 1, 2)
    words = [f"word{place}" for place in range(6)]
    assert _texts(figure) == ["text 1, view: neutral (n = 6 tokens)", "teacher", *words, "kd", *words]
    shares = signed_shares(TEACHER.scores[2, 1, :6].double().numpy())
    colours = [cell.get_facecolor() for cell in _cells(figure)[:6]]
    bluer = [colour[2] - colour[0] for colour in colours]
    assert [value > 0 for value in bluer] == [value > 0 for value in shares]
    assert "signed share of the text's attribution" in to_svg(figure)


def test_long_texts_are_broken_into_lines_that_fit() -> None:
    words = tuple(f"{'long' * (place % 6)}word{place}" for place in range(8))
    wide = dataclasses.replace(TEACHER, tokens=(words,) * 4)
    cells = _cells(coloured_text({"teacher": wide}, 3))
    assert len({cell.get_y() for cell in cells}) == 2
    assert max(cell.get_x() + cell.get_width() for cell in cells) <= 105


def test_the_texts_with_the_lowest_cosine_come_first() -> None:
    cosines = text_agreement(TEACHER, STUDENT)
    texts = _texts(disagreements(TEACHER, STUDENT, "kd", count=2))
    assert texts[0].startswith("lowest cosines of 4 texts, whose mean is") and texts[0].endswith("chance is 0")
    headings = [text for text in texts if text.startswith("text ")]
    worst = np.argsort(cosines)[:2]
    assert [heading.split(":")[0] for heading in headings] == [f"text {text}" for text in worst]
    assert f"cosine {cosines[worst[0]]:.2f}".replace("-", "−") in headings[0]
    assert texts.count("teacher") == texts.count("kd") == 2


def test_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="no map was given"):
        coloured_text({}, 0)
    with pytest.raises(ValueError, match="there is no text 9 with view 0; the maps have 4 texts and 3 views"):
        coloured_text({"teacher": TEACHER}, 9)
    with pytest.raises(ValueError, match="whose tokens differ"):
        disagreements(TEACHER, example_maps(texts=3)[0])
