"""The table of what the papers hold names files, keys, recipes and options that exist, and tests that test them."""

import re
from pathlib import Path

import pytest
import typer

from causalkd.alignment.presets import READY_MADE
from causalkd.cli import app
from causalkd.data.tasks.registry import TASKS
from causalkd.recipe.objectives import OBJECTIVES
from causalkd.recipe.recipe import Recipe, shipped_pipelines, shipped_recipes

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "analysis/results/papers.md").read_text(encoding="utf-8")
ROWS = [line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and "`" in line]
PARTS = {"training": "TrainingPart", "teacher": "TeacherPart", "students": "StudentPart", "data": "DataPart"}
SCHEMA = Recipe.model_json_schema()
KEYS = {key for part in (SCHEMA, *SCHEMA["$defs"].values()) for key in part.get("properties", {})}
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
OPTIONS = {option for command in COMMANDS.values() for parameter in command.params for option in parameter.opts}


def _properties(part: str) -> set[str]:
    """The keys of a section of a recipe, or of an objective."""
    objective = SCHEMA["$defs"]["ObjectivesPart"]["properties"].get(part)
    names = [PARTS[part]] if part in PARTS else re.findall(r"/(\w+)'", str(objective))
    return {key for name in names for key in SCHEMA["$defs"][name]["properties"]}


def _exists(name: str) -> bool:
    """Whether there is such a file, command, key of a recipe, shipped recipe, objective or preset."""
    if re.fullmatch(r"(causalkd|tests|analysis)/\S+", name):
        return (ROOT / name).exists()
    if name in shipped_recipes() or name in OPTIONS:
        return True
    if name.startswith("causalkd "):
        _, command, *further = name.split()
        return command in COMMANDS and all(each in {*OPTIONS, *shipped_pipelines()} for each in further)
    key, _, value = name.partition(": ")
    part, _, inner = key.partition(".")
    known = inner in _properties(part) if inner else key in {*KEYS, *OBJECTIVES, *READY_MADE}
    return known and (value in {*READY_MADE, *TASKS} if key in ("alignment", "data.task") else True)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip()[:40])
def test_everything_that_a_row_names_exists(row: list[str]) -> None:
    _, code, tests = row
    assert [name for name in re.findall(r"`([^`]+)`", code + tests) if not _exists(name)] == []
    assert re.findall(r"`(tests/[^`]+)`", tests)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip()[:40])
def test_a_test_of_each_row_reads_what_the_row_names(row: list[str]) -> None:
    """By name: a file's stem, the last word of a key, a recipe, or an option."""
    _, code, tests = row
    names = [re.sub(r"\.py$|\.yaml$", "", name).partition(": ")[0] for name in re.findall(r"`([^`]+)`", code)]
    sought = {re.split(r"[/.\s]|--", name)[-1] for name in names}
    sought |= {f"{name.partition('-')[0]}-{{" for name in names if name in shipped_recipes()}  # one test for several
    files = [ROOT / name for name in re.findall(r"`(tests/[^`]+)`", tests)]
    texts = " ".join(file.stem + file.read_text(encoding="utf-8") for file in files if file.is_file())
    assert any(word in texts for word in sought)


def test_nothing_is_left_that_cannot_be_said() -> None:
    assert len(ROWS) >= 40 and "not expressible" not in PAGE
