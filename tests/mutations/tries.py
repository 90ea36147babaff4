"""Mutated inputs, put to the command line: each ends well, or with one short paragraph and never with a traceback."""

import random
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.recipe.recipe import Recipe
from tests.mutations.mutate import VALUES, mutated, mutated_folder, mutated_text

LONGEST_MESSAGE, LONGEST_TIME = 2000, 20.0
_ROWS = "text,label\nthe fox ran,1\na lazy dog,0\nbirds sing,1\nthe cat sat,0\n"


class Try(NamedTuple):
    """One call of the command line."""

    name: str
    arguments: list[str]


def fault_of(one: Try) -> str | None:
    """What is wrong with how a call ended; None where nothing is."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = CliRunner().invoke(app, one.arguments)
    took = time.perf_counter() - began
    told = done.stderr.rpartition("causalkd: ")[2]
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return f"{one.name}: {type(done.exception).__name__}: {str(done.exception)[:300]}"
    if took > LONGEST_TIME:
        return f"{one.name}: took {took:.0f} s"
    if done.exit_code and len(told) > LONGEST_MESSAGE:
        return f"{one.name}: a message of {len(told)} characters"
    if done.exit_code not in (0, 2, 3):
        return f"{one.name}: exit code {done.exit_code}: {told[:300]}"
    return None


class Inputs:
    """What is mutated: a recipe, an alignment, a checkpoint and a finished run; `base` is for the mutated ones."""

    def __init__(self, base: Path, run: Path, checkpoint: Path) -> None:
        self.base, self.run, self.checkpoint = base, run, checkpoint
        self.recipe = Recipe.load(run / "recipe.yaml").model_dump(mode="json")
        self.alignment = yaml.safe_load((run / "alignment.yaml").read_text())

    def tries(self, kind: str, drawn: random.Random) -> Try:
        """A call with a mutated input of one kind."""
        return KINDS[kind](self, drawn)


def _recipe(inputs: Inputs, drawn: random.Random) -> Try:
    text = yaml.safe_dump(mutated(inputs.recipe, drawn), allow_unicode=True)
    if drawn.random() < 0.3:
        text = mutated_text(yaml.safe_dump(inputs.recipe), drawn)
    return Try(f"recipe {text!r}", ["plan", _written(inputs.base / "recipe.yaml", text), "--speed", "1e9"])


def _alignment(inputs: Inputs, drawn: random.Random) -> Try:
    text = yaml.safe_dump(mutated(inputs.alignment, drawn), allow_unicode=True)
    if drawn.random() < 0.3:
        text = mutated_text(yaml.safe_dump(inputs.alignment), drawn)
    models = ["--teacher", str(inputs.checkpoint), "--student", str(inputs.checkpoint)]
    return Try(f"alignment {text!r}", ["check", _written(inputs.base / "alignment.yaml", text), *models])


def _data(inputs: Inputs, drawn: random.Random) -> Try:
    text = mutated_text(_ROWS, drawn)
    name = drawn.choice(("rows.csv", "rows.tsv", "rows.jsonl", "rows.json", "rows.txt", "rows.conll"))
    return Try(f"data {name} {text!r}", ["data", _written(inputs.base / name, text)])


def _checkpoint(inputs: Inputs, drawn: random.Random) -> Try:
    damage = mutated_folder(inputs.checkpoint, inputs.base / "checkpoint", drawn)
    models = ["--teacher", str(inputs.base / "checkpoint"), "--student", str(inputs.checkpoint)]
    return Try(f"checkpoint {damage}", ["check", "middle", *models])


def _run(inputs: Inputs, drawn: random.Random) -> Try:
    damage = mutated_folder(inputs.run, inputs.base / "run", drawn)
    command = drawn.choice(("report", "verify"))
    return Try(f"{command} of a run with {damage}", [command, str(inputs.base / "run")])


def _arguments(inputs: Inputs, drawn: random.Random) -> Try:
    command = drawn.choice(("plan", "check", "data", "report", "verify", "evaluate", "search", "attribute"))
    words = [
        "--set",
        "--task",
        "--limit",
        "--steps",
        "--out",
        "--teacher",
        "--student",
        "--speed",
        "--kind",
        "quickstart",
    ]
    words += [str(each) for each in VALUES] + ["training.steps=true", "seeds=[0, 0]", "a.b.c=1", "students.0.name=x"]
    given = [command, *(drawn.choice(words) for _ in range(drawn.randrange(1, 5)))]
    return Try(f"arguments {given}", given)


def _written(path: Path, text: str) -> str:
    if path.is_dir():
        shutil.rmtree(path)
    path.write_text(text, encoding="utf-8", errors="replace")
    return str(path)


KINDS: dict[str, Callable[[Inputs, random.Random], Try]] = {
    "recipe": _recipe,
    "alignment": _alignment,
    "data": _data,
    "checkpoint": _checkpoint,
    "run": _run,
    "arguments": _arguments,
}


def faults(inputs: Inputs, kind: str, seeds: Iterator[int]) -> list[str]:
    """What goes wrong with the mutated inputs of these seeds, a line each."""
    found = []
    for seed in seeds:
        told: Any = fault_of(inputs.tries(kind, random.Random(f"{kind} {seed}")))
        found += [f"seed {seed}: {told}"] if told is not None else []
    return found
