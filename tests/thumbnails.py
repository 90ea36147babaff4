"""Writes the pictures of the gallery's pages: `python -m tests.thumbnails`, after a page has changed; needs Chromium.

A picture is the page's first screen. It holds the digest of its page, so that a test finds one that is of another.
"""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.browser import Browser

GALLERY = Path(__file__).parents[1] / "analysis" / "examples"
KEY = "page"
"""The entry of a picture that holds the digest of its page."""
_SIZE = (960, 600)


def digest(page: Path) -> str:
    """The digest of a page."""
    return hashlib.sha256(page.read_bytes()).hexdigest()


def write_picture(browser: Browser, page: Path) -> None:
    """Writes the first screen of a page, 1280 pixels wide, beside it as a small PNG."""
    target, info = page.with_suffix(".png"), PngInfo()
    info.add_text(KEY, digest(page))
    browser.open(page.read_text("utf-8"))
    browser.picture(target, whole=False)
    with Image.open(target) as whole:
        screen = whole.convert("RGB").crop((0, 0, 1280, 800)).resize(_SIZE, Image.Resampling.LANCZOS)
    few = screen.quantize(255, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)  # rare colours stay what they are
    few.save(target, pnginfo=info, optimize=True)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        opened = Browser(Path(folder))
        for each in sorted(GALLERY.glob("*.html")):
            write_picture(opened, each)
        opened.close()
