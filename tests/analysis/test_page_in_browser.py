"""The page in a real browser, at the width of a desk and of a phone; skipped where there is no Chromium."""

import html
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from analysis.report_page import render
from tests.example_report import example_metrics, example_report

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
MEASURE = """
<script>onload = () => {
  const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
  const wide = [...page.querySelectorAll("body *")].filter(each => !each.closest(".scroll, pre, svg") &&
    each.getBoundingClientRect().right > root.clientWidth + 1).map(each => each.tagName);
  const empty = [...page.querySelectorAll("figure svg")].filter(each => each.getBoundingClientRect().height < 40);
  const unnamed = [...page.querySelectorAll("figure")].filter(each => !each.getAttribute("aria-label"));
  document.title = JSON.stringify([root.scrollWidth - root.clientWidth, wide.length, empty.length, unnamed.length,
    page.querySelectorAll("figure svg").length]);
}</script>
"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to open the page in")


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_overflows_no_figure_is_lost_and_the_console_is_silent(tmp_path: Path, width: int) -> None:
    report = example_report(seeds=2)
    page = html.escape(render(report, example_metrics(report)), quote=True)
    frame = tmp_path / "frame.html"
    # In a frame, because a window of the browser cannot be as narrow as a phone.
    frame.write_text(f'<iframe style="width: {width}px; height: 2000px" srcdoc="{page}"></iframe>{MEASURE}', "utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={tmp_path}"]
    offline = ["--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1400,2100", "--virtual-time-budget=5000"]
    done = subprocess.run(
        [str(CHROMIUM), *options, *offline, "--dump-dom", frame.as_uri()],
        capture_output=True, text=True, timeout=120, check=True, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    found = re.search(r"<title>\[(.*?)\]</title>", done.stdout)
    assert found is not None, done.stderr[-2000:]
    overflow, wide, empty, unnamed, figures = map(int, found[1].split(","))
    assert (overflow, wide, empty, unnamed) == (0, 0, 0, 0) and figures == 6
    assert "CONSOLE" not in done.stderr
