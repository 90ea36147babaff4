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
from tests.example_maps import example_results
from tests.example_report import example_metrics, example_report
from tests.example_teaching import example_teaching

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
MEASURE = """
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
  const empty = [...page.querySelectorAll("figure svg")].filter(each => each.getBoundingClientRect().height < 40);
  const unnamed = [...page.querySelectorAll("figure")].filter(each => !each.getAttribute("aria-label"));
  const cards = [...page.querySelectorAll("figure svg")].filter(each =>
    style(each.querySelector("path")).fill !== style(page.body).backgroundColor);
  document.title = JSON.stringify([root.scrollWidth - root.clientWidth, wide.length, cut.length, folded.length,
    empty.length, unnamed.length, cards.length, page.querySelectorAll("figure svg").length,
    style(page.body).backgroundColor]);
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
    return html.escape(render(dataclasses.replace(report, attribution=results), example_metrics(report)), quote=True)


@pytest.mark.parametrize(("width", "printed"), [(1280, False), (390, False), (A4, True)])
def test_nothing_overflows_no_figure_is_lost_and_the_console_is_silent(
    tmp_path: Path, page: str, width: int, printed: bool
) -> None:
    """For a reader in the dark, who may print the page: on white paper, with what is folded, and nothing cut off."""
    frame = tmp_path / "frame.html"
    # In a frame, because a window of the browser cannot be as narrow as a phone.
    measure = MEASURE.replace("PRINTED", str(printed).lower())
    frame.write_text(f'<iframe style="width: {width}px; height: 2000px" srcdoc="{page}"></iframe>{measure}', "utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={tmp_path}"]
    options += ["--blink-settings=preferredColorScheme=0"]  # dark
    offline = ["--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1400,2100", "--virtual-time-budget=5000"]
    done = subprocess.run(
        [str(CHROMIUM), *options, *offline, "--dump-dom", frame.as_uri()],
        capture_output=True, text=True, timeout=120, check=True, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    found = re.search(r"<title>(.*?)</title>", done.stdout)
    assert found is not None, done.stderr[-2000:]
    *faults, figures, background = json.loads(html.unescape(found[1]))
    assert faults == [0] * 7 and figures == 11
    assert background == (PAPER if printed else DARK)
    assert "CONSOLE" not in done.stderr
