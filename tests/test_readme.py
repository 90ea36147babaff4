"""The README and the results are true: their Python runs, shrunk, and the paths, links and commands in them exist."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import causalkd
from causalkd.cli import app
from causalkd.files.strict_yaml import load_text
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import DataPart
from tests.shrunk import SHRUNK

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
RESULTS = sorted((ROOT / "analysis/results").glob("*.md"))
PAGES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *RESULTS)}
PATHS = {found for text in PAGES.values() for found in re.findall(r"`((?:causalkd|tests|analysis)/[\w/.-]+)`", text)}
LINKS = {(page, to) for page, text in PAGES.items() for to in re.findall(r"\]\(([^)#:]+)\)", text)}


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 160


def test_the_first_screen_has_ten_lines_of_python() -> None:
    first = README[: README.index(BLOCKS[0])].count("\n")
    assert first < 25
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) <= 10


def test_its_python_runs(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    load = Recipe.load
    monkeypatch.setattr(Recipe, "load", lambda name, changes=(): load(name, [*changes, *SHRUNK["quickstart"]]))
    for block in BLOCKS:  # the second uses what the first has trained
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "runs/quickstart/report.json").is_file()
    printed = capsys.readouterr().out
    assert "diito" in printed and "permuted_source" in printed


@pytest.mark.parametrize("path", sorted(PATHS))
def test_its_paths_exist(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("page", "link"), sorted(LINKS), ids=lambda value: Path(value).name)
def test_its_links_lead_to_files(page: Path, link: str) -> None:
    assert (page.parent / link).is_file()


def test_its_commands_exist() -> None:
    text = "\n".join(PAGES.values())
    told = set(re.findall(r"(?:^|`|&& |bin/)causalkd (\w+)", text, flags=re.MULTILINE))
    assert {"distill", "verify", "report", "check", "schema"} <= told
    for command in told:
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:^|`|&& )make ([a-z-]+)", text, flags=re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_every_result_states_its_question_command_and_limits() -> None:
    index = PAGES[ROOT / "analysis/results/README.md"]
    for path in RESULTS:
        if path.name != "README.md":
            assert f"({path.name})" in index
            assert all(word in PAGES[path] for word in ("?", "**Command.**", "**What it shows.**", "does not show"))


def test_its_yaml_is_an_alignment_and_a_data_block() -> None:
    alignment, data = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    assert causalkd.Alignment.from_yaml(alignment).pairs[0].teacher[0].layer == 6
    assert DataPart.model_validate(load_text(data)["data"]).kind == "classification"
