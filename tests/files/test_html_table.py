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
    assert [text for text in seen.text if text.strip()] == [BAD, "b"] and set(seen.tags) == {"span"}
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


def test_a_report_shows_the_numbers_of_its_aligned_sites_beside_the_best_baseline():
    report = example_report(seeds=1)
    rows = [row for row in report.interchange if row.aligned and row.student == "diito"]
    values = {row.baseline: row.iia_effective for row in rows}
    best = max(value for baseline, value in values.items() if baseline != "measured")
    shown = _Seen(report._repr_html_()).text
    place = shown.index("diito")
    assert shown[place : place + 8] == [
        "diito", "0", "premise", "1 → 0", f"{values['measured']:.3f}",
        f"{rows[0].iia_effective_low:.3f} to {rows[0].iia_effective_high:.3f}", "360", f"{best:.3f}",
    ]  # fmt: skip


def test_a_report_without_aligned_sites_shows_all_and_one_without_rows_none():
    report = example_report(("kd",), seeds=1)
    rows = tuple(dataclasses.replace(row, aligned=False) for row in report.interchange)
    shown = dataclasses.replace(report, interchange=rows)._repr_html_()
    assert "all measured sites" in shown and shown.count("<tr>") == 1 + 6
    assert dataclasses.replace(report, interchange=(), differences=())._repr_html_().count("<tr>") == 1


def test_a_recipe_shows_its_students_with_their_objectives():
    shown = " ".join(_Seen(Recipe.load("quickstart")._repr_html_()).text)
    assert "diito" in shown and "task (1), response_kd (1), diito (0.5)" in shown and "data planted" in shown
