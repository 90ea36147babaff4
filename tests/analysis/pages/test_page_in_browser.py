"""The page in a real browser, at the width of a desk, a phone and paper.

The tests need Chromium (Debian: `apt-get install chromium`), and those of accessibility also axe-core, which `make
weights` installs, or another `axe.min.js` whose path is in CAUSALKD_AXE. The skipped tests say what is missing.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.pages.study_page import study_page
from causalkd.reporting.study_table import study_table
from tests.browser import CHROMIUM, Browser
from tests.example_pages import PAGES
from tests.example_study import example_results, example_study
from tests.packaged_files import file_of

AXE = Path(os.environ.get("CAUSALKD_AXE") or file_of("axe_playwright_python", "axe.min.js") or "axe.min.js")
MEASURE = r"""(() => {
  const root = document.documentElement, all = [...document.querySelectorAll("body *")], style = getComputedStyle;
  const far = (each) => each.getBoundingClientRect().right > root.clientWidth + 1;
  const light = (colour) => { const [r, g, b] = colour.match(/[\d.]+/g).map(Number).map(each => each / 255)
    .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (each) => { // colours that let through what is behind them are laid upon it
    if (!each) return [255, 255, 255];
    const [r, g, b, a = 1] = style(each).backgroundColor.match(/[\d.]+/g).map(Number);
    return a === 1 ? [r, g, b] : behind(each.parentElement).map((under, at) => a * [r, g, b][at] + (1 - a) * under); };
  const faint = (each) => {
    const [one, other] = [light(style(each).color), light(behind(each).join())].sort((a, b) => b - a);
    return (one + 0.05) / (other + 0.05) < 4.5; };
  const written = (each) => [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  const said = (each) => each.outerHTML.slice(0, 150);
  return {
    wider: root.scrollWidth - root.clientWidth,
    wide: all.filter(each => !each.closest(".scroll, pre, svg") && far(each)).map(said),
    cut: PRINTED ? [...document.querySelectorAll("table, svg")].filter(far).map(said) : [],
    folded: PRINTED ? [...document.querySelectorAll("details:not(.long) table, .view")].filter(each =>
      !each.checkVisibility()).map(said) : [],
    narrow: [...document.querySelectorAll(".track")].filter(each =>
      each.getBoundingClientRect().width < 100).map(said),
    empty: [...document.querySelectorAll("figure > svg")].filter(each =>
      each.getBoundingClientRect().height < 40).map(said),
    unnamed: [...document.querySelectorAll("figure")].filter(each => !each.getAttribute("aria-label")).map(said),
    cards: [...document.querySelectorAll("figure > svg")].filter(each =>
      style(each.querySelector("path")).fill !== style(document.body).backgroundColor).map(said),
    faint: all.filter(each => !each.closest("svg") && each.checkVisibility() && written(each) &&
      faint(each)).map(said),
    figures: document.querySelectorAll("figure > svg").length,
    background: style(document.body).backgroundColor,
  };
})()"""
NO_FAULT = {"wider": 0} | {key: [] for key in ("wide", "cut", "folded", "narrow", "empty", "unnamed", "cards", "faint")}
STOPS = """(() => {
  const stops = [...document.querySelectorAll("a[href], button, input, summary, [tabindex='0']")].filter(each =>
    each.checkVisibility() && (each.type !== "radio" || each.checked));
  window.stops = stops;
  return stops.length;
})()"""
FOCUSED = """(() => {
  const each = document.activeElement, style = getComputedStyle(each), box = each.getBoundingClientRect();
  const seen = each.matches(":focus-visible") && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return [window.stops.indexOf(each), seen, box.bottom > 0 && box.top < innerHeight, each.outerHTML.slice(0, 150)];
})()"""
DARK, PAPER = "rgb(24, 28, 33)", "rgb(255, 255, 255)"
A4 = 703  # pixels of a page between its margins
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDTHS = [(360, False), (768, False), (1280, False), (1920, False), (A4, True)]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to open the page in")
needs_axe = pytest.mark.skipif(
    not AXE.is_file(), reason=f"no axe-core at {AXE}; run `make weights`, or set CAUSALKD_AXE"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """Every page, made when it is first asked for."""

    class Made(dict[str, str]):
        def __missing__(self, name: str) -> str:
            self[name] = PAGES[name]()
            return self[name]

    return Made()


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize(("width", "printed"), WIDTHS)
def test_nothing_overflows_no_figure_is_lost_and_the_console_is_silent(
    browser: Browser, pages: dict[str, str], width: int, printed: bool, dark: bool
) -> None:
    """Also for a reader in the dark, who may print the page: on white paper, unfolded, and nothing cut off.

    Listed are what is wider than the page, cut off, folded on paper, an empty or unnamed figure, a figure on a card of
    another colour, and text whose contrast is below 4.5 (WCAG 2.2, AA).
    """
    found = _measured(browser, pages["maps"], width, printed, dark)
    assert found.pop("figures") == 7
    assert found.pop("background") == (DARK if dark and not printed else PAPER)
    assert found == NO_FAULT


@pytest.mark.parametrize("name", [name for name in PAGES if name != "maps"])
@pytest.mark.parametrize("width", [360, 1280])
def test_unusual_runs_fit_too(browser: Browser, pages: dict[str, str], name: str, width: int) -> None:
    found = _measured(browser, pages[name], width)
    assert {fault: found[fault] for fault in NO_FAULT} == NO_FAULT


@needs_axe
@pytest.mark.parametrize(
    ("name", "width", "dark"),
    # These three together hold all that a page can. Deep models have the parts of "one student", only larger ones, and
    # nine students those of two, only more; that their text is not faint is tested above.
    [(name, 390, True) for name in (*PAGES, "a study") if name not in ("deep models", "nine students")]
    + [(name, 1280, False) for name in ("maps", "language model", "a study")],
)
def test_axe_finds_no_violation(
    browser: Browser, pages: dict[str, str], name: str, width: int, dark: bool, tmp_path: Path
) -> None:
    study = example_study(tmp_path)
    page = study_page(study_table(study, example_results(study))) if name == "a study" else pages[name]
    browser.open(page, width, dark)
    browser.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    browser.run(AXE.read_text("utf-8"))
    violations, kept = browser.run(
        f"axe.run({{runOnly: {RULES}}}).then(found => [found.violations.map(each => [each.id, each.nodes.length, "
        "each.nodes[0].html.slice(0, 200), each.nodes[0].failureSummary]), found.passes.map(each => each.id)])"
    )
    assert violations == []
    assert {"color-contrast", "document-title", "html-has-lang"} <= set(kept), "the rules were applied"


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["maps", "language model"])
def test_tab_goes_through_the_page_in_its_order_and_shows_where_it_is(
    browser: Browser, pages: dict[str, str], name: str, width: int
) -> None:
    browser.open(pages[name], width)
    count = browser.run(STOPS)
    assert count > 50
    found = []
    for _ in range(count):
        browser.press("Tab", 9)
        found.append(browser.run(FOCUSED))
    assert [place for place, *_ in found] == list(range(count)), found
    assert [told for _, seen, inside, told in found if not (seen and inside)] == []


def test_arrows_choose_the_view_and_only_that_one_is_shown(browser: Browser, pages: dict[str, str]) -> None:
    browser.open(pages["maps"])
    shown = (
        "[...document.querySelectorAll('.view')].filter(each => each.checkVisibility()).map(each => each.dataset.view)"
    )
    assert browser.run(shown) == ["0"]
    browser.run("document.querySelector('input[type=radio]').focus()")
    browser.press("ArrowRight", 39)
    assert browser.run(shown) == ["1"]
    browser.open(pages["maps"], A4, printed=True)
    assert browser.run(shown) == ["0", "1", "2"]


def _measured(browser: Browser, page: str, width: int, printed: bool = False, dark: bool = False) -> dict:
    """What MEASURE finds in the page at a width; nothing may be fetched, and the console must be silent."""
    browser.open(page, width, dark, printed)
    found = browser.run(MEASURE.replace("PRINTED", str(printed).lower()))
    assert browser.fetched == [] and browser.said == []
    return found
