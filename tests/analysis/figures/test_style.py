import html
import itertools
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.figures.style import readable_on, save, student_colours, styled, tip, to_svg


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


@styled
def _cells() -> Figure:
    figure = Figure(figsize=(2, 1))
    ax = figure.subplots()
    ax.add_patch(Rectangle((0, 0), 1, 1, facecolor="white", hatch="//"))
    ax.text(0.5, 0.5, "on data", color="#ffffff")
    return figure


def test_an_svg_takes_its_ink_and_paper_from_the_page():
    svg = to_svg(_cells())
    shapes = re.findall(r"<(?:path|rect) [^>]*>", svg)
    assert any(
        'style="fill: var(--paper, #ffffff)"' in shape and "<rect" in shape for shape in shapes
    )  # behind hatches
    assert sum("var(--paper, #ffffff)" in shape for shape in shapes) >= 3
    assert "stroke: var(--muted, #8a919b)" in svg and "fill: var(--ink, #22272e)" in svg
    assert all("var(" in style for style in re.findall(r"[^;\"]*#(?:22272e|8a919b)[^;\"]*", svg))
    (on_data,) = re.findall(r"<text [^>]*>on data", svg)
    assert "fill: #ffffff" in on_data


def test_students_keep_their_colour_by_order():
    assert student_colours(["kd", "diito", "kd"]) == dict(
        zip(("kd", "diito"), student_colours("ab").values(), strict=True)
    )
    assert len(set(student_colours("abcdefghijkl").values())) == 12
    assert student_colours("abcdefghijklm")["m"] == student_colours("a")["a"]


# What red, green and blue light become for protanopes, deuteranopes and tritanopes (Machado et al. 2009).
_SIGHTS = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
)


def _lab(colour, sight):
    srgb = np.array(to_rgb(colour))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(sight) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    parts = to_xyz @ seen / (0.95047, 1, 1.08883)
    x, y, z = np.where(parts > 216 / 24389, np.cbrt(parts), (24389 / 27 * parts + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", _SIGHTS, ids=["all cones", "protan", "deutan", "tritan"])
def test_twelve_students_are_told_apart_by_readers_of_every_sight(sight):
    colours = [_lab(colour, sight) for colour in student_colours("abcdefghijkl").values()]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(colours, 2)) > 15


def test_text_is_dark_on_light_and_light_on_dark():
    assert readable_on((1.0, 1.0, 0.8, 1.0)) == "#000000"
    assert readable_on((0.0, 0.1, 0.4, 1.0)) == "#ffffff"


@pytest.mark.parametrize("text", ["$$", "$5 and $6", "$\\frac{$", "a_$b^$"])
def test_dollars_stand_as_they_are(text: str) -> None:
    @styled
    def draw() -> Figure:
        figure = Figure()
        axes = figure.add_subplot()
        axes.set_title(text)
        axes.text(0, 0, text)
        axes.set_xticks([0], [text])
        return figure

    assert to_svg(draw()).count(f">{text}</text>") == 3


def test_letters_that_matplotlib_cannot_draw_are_left_to_the_browser():
    figure = Figure()
    figure.add_subplot().set_title("学生 طالب")  # a warning would be an error here
    assert "学生" in to_svg(figure)


def test_a_tip_becomes_a_title_and_makes_no_markup():
    figure = Figure()
    figure.add_subplot().add_patch(Rectangle((0, 0), 1, 1, gid=tip('a "b" <c> & d')))
    svg = to_svg(figure)
    found = re.findall(r"<title>(.*?)</title>", svg)
    assert [html.unescape(each) for each in found] == ['a "b" <c> & d'] and "<c>" not in svg
    assert "tip:" not in svg
