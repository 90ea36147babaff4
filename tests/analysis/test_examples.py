"""The committed pages of real runs: complete, small, offline, with every baseline beside every claim."""

import base64
import csv
import html
import io
import re
from pathlib import Path
from statistics import fmean

import pytest
from PIL import Image

from causalkd.verification.results.baselines import BASELINES
from tests.thumbnails import KEY, digest

ROOT = Path(__file__).parents[2]
GALLERY = ROOT / "analysis" / "examples"
QUICKSTART = GALLERY / "quickstart.html"
RESULTS = ROOT / "analysis" / "results" / "README.md"


def _table(page: str, name: str) -> list[dict[str, str]]:
    found = re.search(rf'download="{re.escape(name)}" href="data:text/csv;charset=utf-8;base64,([^"]+)"', page)
    assert found is not None, f"the page carries no {name}"
    return list(csv.DictReader(io.StringIO(base64.b64decode(found[1]).decode())))


def test_the_readme_shows_the_quickstart() -> None:
    assert f"analysis/examples/{QUICKSTART.stem}.png" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", sorted(GALLERY.glob("*.html")), ids=lambda page: page.stem)
def test_every_page_of_the_gallery_is_one_file_and_is_linked(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size <= 1.5 * 2**20 and page.with_suffix(".png").stat().st_size <= 200 * 2**10
    assert not re.findall(r'(?:src|href)="(?!#|data:)', text) and "<script src" not in text
    assert f"(../examples/{page.name})" in RESULTS.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", sorted(GALLERY.glob("*.html")), ids=lambda page: page.stem)
def test_every_picture_is_of_its_page(page: Path) -> None:
    """Mended by `python -m tests.thumbnails`."""
    with Image.open(page.with_suffix(".png")) as picture:
        assert picture.info[KEY] == digest(page)


def test_the_quickstart_s_headline_has_the_numbers_of_its_table() -> None:
    page = QUICKSTART.read_text(encoding="utf-8")
    rows = [row for row in _table(page, "interchange.csv") if row["aligned"] == "True"]
    values = {row["student"]: float(row["iia_effective"]) for row in rows if row["baseline"] == "measured"}
    headline = html.unescape(page.split("<h1>")[1].split("</h1>")[0])
    assert set(values) == {"kd", "diito"}
    assert f"diito predicts what the teacher predicts on {100 * values['diito']:.1f}% of the pairs" in headline
    more = 100 * (values["diito"] - values["kd"])
    assert f"{more:.1f} points (95% interval " in headline and f"more than kd ({100 * values['kd']:.1f}%)" in headline
    assert "one seed" in headline
    others = [row for row in _table(page, "interchange.csv") if (row["aligned"], row["reachable"]) == ("False", "True")]
    means = {
        name: fmean(
            float(row["iia_effective"]) for row in others if (row["student"], row["baseline"]) == (name, "measured")
        )
        for name in values
    }
    assert ("kd scores higher" in headline) == (means["kd"] > means["diito"])
    assert f"kd matches the teacher on {100 * means['kd']:.1f}%" in html.unescape(page)


def test_every_baseline_is_beside_the_aligned_site() -> None:
    rows = _table(QUICKSTART.read_text(encoding="utf-8"), "interchange.csv")
    trained = {row["baseline"] for row in rows if row["aligned"] == "True"}
    # The alignment has one pair, so there is no other whose site could be taken.
    assert trained == {"measured", *BASELINES} - {"shuffled_alignment"}
