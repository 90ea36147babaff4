"""What analysis/results/papers.md names is there: files, tests and recipes."""

import re
from pathlib import Path

from causalkd.recipe.recipe import shipped_recipes

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "analysis" / "results" / "papers.md"


def test_every_file_that_the_page_names_is_there() -> None:
    named = re.findall(r"`((?:causalkd|tests|analysis)/[\w./-]+)`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 100
    assert not [name for name in named if not (ROOT / name).exists()]


def test_every_recipe_of_a_paper_is_in_the_page_or_extends_one_that_is() -> None:
    text = PAGE.read_text(encoding="utf-8")
    ours = [name for name in shipped_recipes() if name.startswith(("adkd-", "atkd-")) and "minilm" not in name]
    assert ours and all(f"`{name}`" in text for name in ours)


def test_every_row_has_code_and_a_test() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert all(len(row) == 3 for row in rows)
    held = [row for row in rows if row[0] not in ("| of the paper", "| paper")]
    assert all("tests/" in row[2] and "`" in row[1] for row in held)
    assert "not expressible" not in PAGE.read_text(encoding="utf-8")
