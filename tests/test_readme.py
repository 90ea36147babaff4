"""The README is true: its Python runs as it stands, on a run that is shrunk; its paths and commands exist."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import causalkd
from causalkd.cli import app
from causalkd.recipe.recipe import Recipe
from tests.shrunk import SHRUNK

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


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


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:causalkd|tests|analysis)/[\w/.]+)`", README))))
def test_its_paths_exist(path: str) -> None:
    assert (ROOT / path).exists()


def test_its_commands_exist() -> None:
    told = set(re.findall(r"(?:^|`)causalkd (\w+)", README, flags=re.MULTILINE))
    assert {"distill", "verify", "report", "check", "schema"} <= told
    for command in told:
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make ([a-z-]+)", README)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


def test_its_yaml_is_an_alignment() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    assert causalkd.Alignment.from_yaml(block).pairs[0].teacher[0].layer == 6
