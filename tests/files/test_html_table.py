import dataclasses
from html.parser import HTMLParser

import pytest

from causalkd.files.html_table import coloured_tokens, html_table
from causalkd.recipe.recipe import Recipe
from causalkd.reporting.run_comparison import compare
from tests.example_maps import example_maps
from tests.example_report import example_report

BAD = '<script>alert("x")</script>&'


class _Seen(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.attributes = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text.append(data)


def test_a_table_shows_what_it_was_given_and_makes_no_markup_of_it():
    seen = _Seen(html_table(BAD, ["name", BAD], [[BAD, 0.5], ["b", None]]))
    assert set(seen.tags) == {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert seen.text == [BAD, "name", BAD, BAD, "0.5", "b", "None"]


def test_tokens_are_coloured_by_sign_and_strength():
    seen = _Seen(coloured_tokens([BAD, "b"], [1.0, -0.25]))
    assert [text for text in seen.text if text.strip()] == [BAD, "b"] and seen.tags == ["bdi", "span", "span"]
    styles = [value for name, value in seen.attributes if name == "style"]
    assert "rgba(33, 102, 172, 0.60)" in styles[0] and "rgba(178, 24, 43, 0.15)" in styles[1]


def _objects():
    bad = "<b>&x"
    report = example_report((bad, "kd"), seeds=1)
    pairs = tuple(pair.model_copy(update={"name": bad}) for pair in report.alignment.pairs)
    alignment = report.alignment.model_copy(update={"name": bad, "pairs": pairs})
    found = example_maps()[0]
    maps = dataclasses.replace(found, tokens=tuple((bad, *row[1:]) for row in found.tokens))
    recipe = Recipe.load("quickstart").model_copy(update={"output": bad})
    return {
        "report": dataclasses.replace(report, alignment=alignment),
        "recipe": recipe,
        "alignment": alignment,
        "map": maps,
        "comparison": compare({bad: report, "b": report}),
    }


@pytest.mark.parametrize("name", ["report", "recipe", "alignment", "map", "comparison"])
def test_objects_show_themselves_in_a_notebook_and_make_no_markup(name):
    found = _objects()[name]._repr_html_()
    assert "<b>&x" not in found and "&lt;b&gt;&amp;x" in found and len(found) < 20_000
    seen = _Seen(found)
    assert "<b>&x" in " ".join(seen.text) and "script" not in seen.tags


def test_a_recipe_shows_its_students_with_their_objectives():
    shown = " ".join(_Seen(Recipe.load("quickstart")._repr_html_()).text)
    assert "diito" in shown and "task (1), response_kd (1), diito (0.5)" in shown and "data planted" in shown
