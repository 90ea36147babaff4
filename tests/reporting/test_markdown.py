import dataclasses
import re

from causalkd.reporting.markdown import as_markdown, pipes
from causalkd.reporting.model_card import model_card
from causalkd.reporting.verdict import verdict
from tests.example_maps import example_distances, example_results
from tests.example_report import example_report
from tests.example_teaching import example_teaching


def test_tables_are_rectangular_and_the_first_sentence_comes_first():
    report = example_report()
    text = as_markdown(report)
    assert text.splitlines()[2] == f"**{verdict(report)[0]}**"
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        heads, rule, *rows = block.splitlines()
        assert rows and {row.count("|") for row in (heads, rule, *rows)} == {heads.count("|")}
    assert "diito − kd, seed 2, premise: +0.240 [+0.200, +0.290]" in text
    assert "policy: segments" in text and "torch 2.13.0+cpu" in text and "1,200,000" in text


def test_what_learning_maps_costs_is_told_where_maps_are_learned():
    report = example_report(("kd",), seeds=1)
    student = dataclasses.replace(report.students[0], objectives={"response_kd": 1.0, "adkd": 10.0})
    learned = dataclasses.replace(report, students=(student,))
    for one, told in ((report, False), (learned, True)):
        for text in (as_markdown(one), model_card(one, one.students[0])):
            assert (
                "trained with eager attention" in text and "compare these students by their seconds" in text
            ) == told


def test_pipes():
    assert pipes([("a", "b"), ("1", "2")]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


def test_attribution_maps_are_reported_where_there_are_some():
    report = example_report(("kd",), seeds=1)
    assert "predictions depend on" not in as_markdown(report)
    text = as_markdown(dataclasses.replace(report, attribution=example_results(("kd",), seeds=1)))
    assert "## Which tokens the predictions depend on\n\n| model |" in text
    assert "mode of each token" not in text and "as AD-KD trains them" not in text
    learned = dataclasses.replace(example_results(("kd",), seeds=1), map_distances=example_distances(("kd",), seeds=1))
    text = as_markdown(dataclasses.replace(report, attribution=learned))
    assert "### Maps as AD-KD trains them\n\n| trained on it |" in text and "| kd | kd | 0.0500 |" in text
    taught = dataclasses.replace(example_results(("kd",), seeds=1), teaching=example_teaching(("kd",), seeds=1))
    text = as_markdown(dataclasses.replace(report, attribution=taught))
    assert (
        "## The teaching mode of each token\n\n| student |" in text and "5 labelled tokens of 3 training texts" in text
    )


def test_names_make_no_markup():
    report = example_report(("kd",), seeds=1)
    name = "x](https://example.org) <img src=y> | `z`\n# out\n```"
    pairs = tuple(pair.model_copy(update={"name": name}) for pair in report.alignment.pairs)
    named = report.alignment.model_copy(update={"name": name, "pairs": pairs})
    rows = tuple(dataclasses.replace(row, pair=name) for row in report.interchange)
    teacher = dataclasses.replace(report.teacher, name=name)
    renamed = dataclasses.replace(report, alignment=named, interchange=rows, teacher=teacher, differences=())
    for text in (as_markdown(renamed), model_card(renamed, renamed.students[0])):
        prose = re.sub(r"(?s)\A---\n.*?\n---\n", "", text)  # the card's metadata, which are no prose
        prose = re.sub(r"(?ms)^(`{3,})yaml\n.*?^\1$", "", prose)
        assert "](" not in prose.replace("\\](", "")
        assert "<img" not in prose.replace("\\<img", "")
        assert not re.search(r"(?m)^# out", prose)
        assert "```" not in prose.replace("\\`", "")
