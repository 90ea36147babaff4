"""The page in a real browser, at the width of a desk, a phone and paper; skipped where there is no Chromium."""

import dataclasses
import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from analysis.report_page import render
from causalkd.verification.results.report import VerificationReport
from tests.example_maps import example_results
from tests.example_report import example_metrics, example_report
from tests.example_teaching import example_teaching

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
MEASURE = r"""
<script>onload = () => {
  const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
  const style = (each) => page.defaultView.getComputedStyle(each);
  if (PRINTED) for (const rule of page.styleSheets[0].cssRules)
    if (rule.conditionText === "print") rule.media.mediaText = "all";
  const wide = [...page.querySelectorAll("body *")].filter(each => !each.closest(".scroll, pre, svg") &&
    each.getBoundingClientRect().right > root.clientWidth + 1);
  const cut = PRINTED ? [...page.querySelectorAll("table, svg")].filter(each =>
    each.getBoundingClientRect().right > root.clientWidth + 1) : [];
  const folded = PRINTED ? [...page.querySelectorAll("details:not(.long) table")].filter(each =>
    !each.checkVisibility()) : [];
  const empty = [...page.querySelectorAll("figure > svg")].filter(each => each.getBoundingClientRect().height < 40);
  const unnamed = [...page.querySelectorAll("figure")].filter(each => !each.getAttribute("aria-label"));
  const cards = [...page.querySelectorAll("figure > svg")].filter(each =>
    style(each.querySelector("path")).fill !== style(page.body).backgroundColor);
  const fetched = page.defaultView.performance.getEntriesByType("resource");
  const light = (colour) => { const [r, g, b] = colour.match(/[\d.]+/g).map(Number).map(each => each / 255)
    .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (each) => {
    while (each && style(each).backgroundColor === "rgba(0, 0, 0, 0)") each = each.parentElement;
    return each ? style(each).backgroundColor : "rgb(255, 255, 255)"; };
  const faint = [...page.querySelectorAll("body *")].filter(each => !each.closest("svg") && each.checkVisibility() &&
    [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim())).filter(each => {
    const [one, other] = [light(style(each).color), light(behind(each))].sort((a, b) => b - a);
    return (one + 0.05) / (other + 0.05) < 4.5; });
  document.title = JSON.stringify([root.scrollWidth - root.clientWidth, wide.length, cut.length, folded.length,
    empty.length, unnamed.length, cards.length, fetched.length, faint.length,
    page.querySelectorAll("figure > svg").length, style(page.body).backgroundColor]);
}</script>
"""
DARK, PAPER = "rgb(24, 28, 33)", "rgb(255, 255, 255)"
A4 = 703  # pixels of a page between its margins

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to open the page in")


@pytest.fixture(scope="module")
def page() -> str:
    """A page with everything that is wide."""
    report = example_report(seeds=2)
    students = tuple(dict.fromkeys(student.name for student in report.students))
    results = dataclasses.replace(example_results(students), teaching=example_teaching(students))
    return render(dataclasses.replace(report, attribution=results), example_metrics(report))


WIDTHS = [(360, False), (768, False), (1280, False), (1920, False), (A4, True)]


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize(("width", "printed"), WIDTHS)
def test_nothing_overflows_no_figure_is_lost_and_the_console_is_silent(
    tmp_path: Path, page: str, width: int, printed: bool, dark: bool
) -> None:
    """Also for a reader in the dark, who may print the page: on white paper, unfolded, and nothing cut off.

    Counted are what is wider than the page, cut off, folded on paper, an empty or unnamed figure, a figure on a card of
    another colour, what was fetched, and text whose contrast is below 4.5 (WCAG 2.2, AA).
    """
    *faults, figures, background = _measured(tmp_path, page, width, printed, dark)
    assert faults == [0] * 9 and figures == 11
    assert background == (DARK if dark and not printed else PAPER)


ARABIC, CHINESE = (
    "طالب-يتعلم-بالتدخل-السببي-والتقطير-العميق",
    "学生模型通过因果干预学习老师的计算方式并且名字非常长以至于需要换行显示",
)


@pytest.mark.parametrize(
    "report",
    [
        example_report((ARABIC, CHINESE)),
        example_report(tuple(f"student-{number}-of-nine" for number in range(9)), seeds=3),
        example_report(("a-student-whose-name-is-forty-characters",), 1, (24, 12), (12, 6)),
    ],
    ids=["long names", "nine students", "deep models"],
)
@pytest.mark.parametrize("width", [360, 1280])
def test_unusual_runs_fit_too(tmp_path: Path, report: VerificationReport, width: int) -> None:
    *faults, _, _ = _measured(tmp_path, render(report), width)
    assert faults == [0] * 9


def _measured(tmp_path: Path, page: str, width: int, printed: bool = False, dark: bool = False) -> list:
    """What MEASURE counts in the page at a width; the console must have been silent."""
    frame = tmp_path / "frame.html"
    # In a frame, because a window of the browser cannot be as narrow as a phone.
    measure = MEASURE.replace("PRINTED", str(printed).lower())
    frame.write_text(
        f'<iframe style="width: {width}px; height: 2000px" srcdoc="{html.escape(page, quote=True)}"></iframe>{measure}',
        "utf-8",
    )
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={tmp_path}"]
    options += ["--blink-settings=preferredColorScheme=0"] if dark else []
    offline = ["--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=2000,2100", "--virtual-time-budget=5000"]
    done = subprocess.run(
        [str(CHROMIUM), *options, *offline, "--dump-dom", frame.as_uri()],
        capture_output=True, text=True, timeout=120, check=True, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    found = re.search(r"<title>(.*?)</title>", done.stdout)
    assert found is not None, done.stderr[-2000:]
    assert "CONSOLE" not in done.stderr
    return json.loads(html.unescape(found[1]))
