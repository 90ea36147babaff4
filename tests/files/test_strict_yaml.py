"""Strict YAML: short numbers, keys once, and bounds that hold before anything large is made."""

import math
import time
from typing import Any

import pytest

from causalkd.files import strict_yaml
from causalkd.files.strict_yaml import MOST_CHARACTERS, MOST_VALUES, dump_text, load_text

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"a{level}: &a{level} [{', '.join(9 * [f'*a{level - 1}'])}]" for level in range(1, 12)
)
LONG = "a: &a " + "x" * 1_000_000 + "\nb: [" + "*a, " * 100 + "]"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("-2E3", -2000.0),
        ("1.5e2", 150.0),
        (".5e1", 5.0),
        ("7", 7),
        ("+0", 0),
        ("01.5", 1.5),
        (".inf", math.inf),
        ("1e", "1e"),
        ("'1e4'", "1e4"),
        ("08", "08"),
        ("'010'", "010"),
    ],
)
def test_numbers_are_numbers(text: str, value: Any) -> None:
    found = load_text(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "value",
    ["1e4", "010", "1:30", "0x1F", "2024_01", "1.5e2", 1e-7, "no", True, {"b": [1], "a": "x: y"}, "2024-01-02", None],
)
def test_what_is_written_is_read_back(value: Any) -> None:
    found = load_text(dump_text(value))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(BOMB, f"more than {MOST_VALUES:,} keys and values, aliases counted in full", id="aliases"),
        pytest.param(LONG, "characters, aliases counted in full; shorten it", id="long values"),
        pytest.param("a: &a [1, *a]", "an alias is used inside the value that it names", id="endless"),
        pytest.param("[" * 5000 + "]" * 5000, "nested too deeply", id="deep"),
        pytest.param("- " * 5000 + "a", "nested too deeply", id="deep dashes"),
        pytest.param("x" * (MOST_CHARACTERS + 1), f"at most {MOST_CHARACTERS:,} are read", id="long"),
        pytest.param("a: 1\nb: 2\na: 3", "line 3: key 'a' is written twice; correct the YAML there", id="twice"),
        pytest.param(
            "[&a {x: 1}, {<<: *a, x: 2, x: 3}]", "line 1: key 'x' is written twice", id="twice, beside a merge"
        ),
        pytest.param(r'a: "\ud83d"', "line 1: '\\ud83d' has one half of a character that is written as two", id="half"),
        pytest.param("[&a {x: 1}, {<<: *a, <<: *a}]", "line 1: key '<<' is written twice", id="merged twice"),
        pytest.param("[1, 2]: 3", "line 1: found unhashable key", id="unhashable"),
        pytest.param("a: " + "9" * 5000, "line 1: Exceeds the limit", id="a number of 5,000 digits"),
        pytest.param("b: 1\na: 2024-13-45", "line 2: month must be in 1..12; correct the YAML", id="no month"),
        pytest.param("a: 1\nb: 010", "line 2: 010 would be read as 8; write numbers", id="octal"),
        pytest.param("{-07: 1}", "line 1: -07 would be read as", id="octal key"),
        pytest.param("a: 1:30", "line 1: 1:30 would be read as 90", id="base 60"),
        pytest.param("a: [1:30.5]", "line 1: 1:30.5 would be read as", id="base 60 with a fraction"),
        pytest.param(
            "a: 0x1F", "line 1: 0x1F would be read as 31; write numbers like 12 or 1.5, and put text", id="base 16"
        ),
        pytest.param("a: -0b11", "line 1: -0b11 would be read as -3", id="base 2"),
        pytest.param("name: 2024_01", "line 1: 2024_01 would be read as 202401", id="underscores"),
        pytest.param("a: 1_0.5", "line 1: 1_0.5 would be read as 10.5", id="underscores and a fraction"),
        pytest.param("a: !!int [1]", "line 1: expected a scalar node, but found sequence", id="no number"),
        pytest.param("a: [1\nb: 2", "line 2: expected ',' or ']', but got ':'; correct the YAML there", id="no YAML"),
        pytest.param("a: \0", "special characters are not allowed", id="null"),
        pytest.param("a: \0", "; leave that character out", id="null's advice"),
    ],
)
def test_what_has_no_bounds_is_refused_soon(text: str, message: str) -> None:
    began = time.process_time()
    with pytest.raises(ValueError) as caught:
        load_text(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 2000
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[&a {x: 1, y: {z: 2}}, {<<: *a, x: 3}]", [{"x": 1, "y": {"z": 2}}, {"x": 3, "y": {"z": 2}}]),
        ("[&a {x: 1}, &b {<<: *a, y: 2}, {<<: *b, x: 4}]", [{"x": 1}, {"x": 1, "y": 2}, {"x": 4, "y": 2}]),
        ("[&a {x: 1}, &b {x: 2, y: 2}, {<<: [*a, *b]}]", [{"x": 1}, {"x": 2, "y": 2}, {"x": 1, "y": 2}]),
    ],
    ids=["one", "of one that has another", "two"],
)
def test_the_keys_of_another_mapping_are_merged(text: str, value: Any) -> None:
    found = load_text(text)
    assert found == value
    found[0].setdefault("y", {})["z"] = 9
    assert found[1:] == value[1:]


@pytest.mark.parametrize("end", ["", f"# {'long' * 10_000}"], ids=["remembered", "long"])
def test_a_change_of_one_place_changes_no_other(end: str) -> None:
    text = f"a: &a {{b: {{c: 1}}, d: [1]}}\ne: *a\nf: [*a, *a]\n{end}"
    found = load_text(text)
    found["a"]["b"]["c"], found["a"]["d"][0] = 2, 2
    assert [found["e"], *found["f"]] == 3 * [{"b": {"c": 1}, "d": [1]}]
    assert load_text(text)["a"] == {"b": {"c": 1}, "d": [1]}


def test_too_many_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_yaml, "MOST_VALUES", 1000)
    assert len(load_text("[" + "1, " * 999 + "]")) == 999
    with pytest.raises(ValueError, match="more than 1,000 keys and values"):
        load_text("[" + "1, " * 1000 + "]")


@pytest.mark.seconds
def test_many_keys_are_read_in_linear_time() -> None:
    began = time.process_time()
    assert len(load_text("\n".join(f"key{number}: 1" for number in range(20_000)))) == 20_000
    assert time.process_time() - began < 10
