from collections.abc import Iterator
from html import escape

import pytest

from analysis.pages.sorting import sorting
from tests.browser import CHROMIUM, Browser

HEAD = """<thead><tr><th rowspan="2">name</th><th colspan="2">both</th><th rowspan="2">interval</th></tr>
<tr><th>value</th><th>other</th></tr></thead>"""
ROWS = {
    "a": ("b10", "0.5", "1\u202f200", "0.180 to 0.290"),
    "b": ("b9", "−0.25", "–", "0.180 to 0.200"),
    "c": ("Ärger", "nan", "12", "–"),
    "d": ("c", "< 0.001", "3 of 5", "−0.100 to 0.300"),
    "e": ("all 3", "+0.001", "", "0.009–0.100"),
}
BY = {"name": "ecbad", "value": "bdeac", "other": "dcabe", "interval": "debac"}
"""The order of the rows by each column, upwards; those without a value stand last."""
BLANK = {"name": 0, "value": 1, "other": 2, "interval": 1}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here to sort a table in")
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


def test_the_script_asks_for_nothing_and_ends_no_script_element() -> None:
    assert "</" not in sorting() and "fetch" not in sorting() and "http" not in sorting()


@pytest.mark.parametrize("column", BY)
def test_a_heading_sorts_up_down_and_back(browser: Browser, column: str) -> None:
    _open(browser)
    assert _rows(browser) == "abcde" and _sorted(browser) == []
    browser.run(f"find('{column}').focus()")
    up, blank = BY[column], BLANK[column]
    known, last = up[: len(up) - blank], up[len(up) - blank :]
    browser.press("Enter", 13)
    assert _rows(browser) == up and _sorted(browser) == [[column, "ascending"]]
    browser.press("Enter", 13)
    assert _rows(browser) == known[::-1] + last and _sorted(browser) == [[column, "descending"]]
    browser.press("Enter", 13)
    assert _rows(browser) == "abcde" and _sorted(browser) == []
    assert browser.said == []


def test_one_column_at_a_time_and_no_button_above_two(browser: Browser) -> None:
    _open(browser)
    for column in BY:
        browser.run(f"find('{column}').click()")
        assert _sorted(browser) == [[column, "ascending"]]
    assert browser.run("document.querySelectorAll('table:first-of-type th button').length") == len(BY)
    assert browser.run("find('both') === undefined")


def test_a_table_with_nothing_to_sort_can_be_reached_to_scroll_it(browser: Browser) -> None:
    _open(browser)
    assert browser.run("document.querySelectorAll('.scroll button').length") == 0
    browser.run("find('other').focus()")  # the last button of the table before
    browser.press("Tab", 9)
    assert browser.run("[document.activeElement.className, document.activeElement.ariaLabel]") == ["scroll", "Table"]


def _open(browser: Browser) -> None:
    lines = "".join(
        f'<tr id="{key}">{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>' for key, cells in ROWS.items()
    )
    alone = '<div class="scroll"><table><thead><tr><th>one</th></tr></thead><tr><td>1</td></tr></table></div>'
    browser.open(
        f"<!doctype html><meta charset='utf-8'><table>{HEAD}{lines}</table>{alone}<script>{sorting()}</script>"
    )
    browser.run("window.find = (text) => [...document.querySelectorAll('button')].find(b => b.textContent === text); 0")


def _rows(browser: Browser) -> str:
    return browser.run("[...document.querySelectorAll('tr[id]')].map(row => row.id).join('')")


def _sorted(browser: Browser) -> list[list[str]]:
    found = (
        "[...document.querySelectorAll('[aria-sort]')].map(each => [each.textContent, each.getAttribute('aria-sort')])"
    )
    return browser.run(found)
