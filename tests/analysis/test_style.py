import matplotlib
import pytest
from matplotlib.figure import Figure

from analysis.style import readable_on, save, student_colours, styled, to_svg


@styled
def _figure() -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1], [0, -1], label="a")
    return figure


def test_the_caller_s_settings_neither_leak_in_nor_change():
    plain = to_svg(_figure())
    with matplotlib.rc_context({"font.size": 30, "axes.spines.top": True, "svg.hashsalt": None}):
        assert to_svg(_figure()) == plain
        assert matplotlib.rcParams["font.size"] == 30


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_same_figure_is_the_same_bytes(tmp_path, ending):
    first, second = tmp_path / f"a.{ending}", tmp_path / "again" / f"a.{ending}"
    second.parent.mkdir()
    save(_figure(), first)
    save(_figure(), second)
    assert first.read_bytes() == second.read_bytes()


def test_an_svg_element_stands_alone_and_two_share_no_id():
    first, second = to_svg(_figure(), "a"), to_svg(_figure(), "b")
    assert first.startswith("<svg") and first.rstrip().endswith("</svg>")
    ids = [set(part.split('"')[0] for part in text.split(' id="')[1:]) for text in (first, second)]
    assert ids[0] and not ids[0] & ids[1]


def test_students_keep_their_colour_by_order():
    assert student_colours(["kd", "diito", "kd"]) == dict(
        zip(("kd", "diito"), student_colours("ab").values(), strict=True)
    )
    assert len(set(student_colours("abcdef").values())) == 6
    assert student_colours("abcdefg")["g"] == student_colours("a")["a"]


def test_text_is_dark_on_light_and_light_on_dark():
    assert readable_on((1.0, 1.0, 0.8, 1.0)) == "#000000"
    assert readable_on((0.0, 0.1, 0.4, 1.0)) == "#ffffff"
