"""Mutated inputs, put to the command line: each ends well, or with one short paragraph and never with a traceback."""

import json
import random
import re
import shutil
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import yaml
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.recipe.recipe import Recipe
from tests.mutations import accepted, folders
from tests.mutations.accepted import lost
from tests.mutations.mutate import VALUES, Damage, mutated, mutated_folder, mutated_text

LONGEST_MESSAGE, LONGEST_TIME = 2000, 20.0
LONGEST_WAIT = 300.0
"""Seconds on the clock, which is generous since other processes may hold the processor; the other is of work."""
_ADVICE = re.compile(
    r"\b(add|call|change|check|choose|clear|continue|convert|correct|copy|did you mean|declare|delete|give|has keys"
    r"|install|keep|leave|load|make|move|must be|name|needs?|put|raise|rename|requires?d?|resolve|run|save|see|set"
    r"|should|shorten|take|train|try|use|wait|write)\b",
    re.IGNORECASE,
)
"""Words of what is to be done about a fault."""
_ENDS = {0: "accepted", 2: "refused", 3: "could not be done"}


class Try(NamedTuple):
    """One call of the command line."""

    name: str
    arguments: list[str]
    accepted: Callable[[str], str | None] = lambda told: None
    """What is wrong with a call that ended well and printed this; None where nothing is."""


@dataclass
class Found:
    """How the calls of one kind ended, and what was wrong with them, a line each."""

    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def __str__(self):
        ends = ", ".join(f"{count} {name}" for name, count in sorted(self.ends.items()))
        return f"{self.ends.total()} tries ({ends}), slowest {self.slowest:.1f} s, {len(self.faults)} faults"


def fault_of(one: Try, found: Found) -> str | None:
    """What is wrong with how a call ended; None where nothing is."""
    began, clock = time.process_time(), time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = CliRunner().invoke(app, one.arguments)
    took = time.process_time() - began
    found.slowest = max(found.slowest, took)
    found.ends[_ENDS.get(done.exit_code, "failed")] += 1
    told = done.stderr.rpartition("causalkd: ")[2].strip()
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return f"{type(done.exception).__name__}: {str(done.exception)[:300]}"
    if took > LONGEST_TIME or time.perf_counter() - clock > LONGEST_WAIT:
        return f"took {took:.0f} s"
    if done.exit_code == 0:
        return one.accepted(done.stdout)
    if done.exit_code not in _ENDS:
        return f"exit code {done.exit_code}: {told[:300]}"
    return _message_fault(told)


def _message_fault(told: str) -> str | None:
    if len(told) > LONGEST_MESSAGE:
        return f"a message of {len(told)} characters: {told[:300]}"
    if not told or "\n\n" in told or not _ADVICE.search(told):
        return f"no paragraph that says what to do: {told[:300]!r}"
    return None


class Inputs:
    """What is mutated: a recipe, an alignment, a checkpoint, a finished run, and what else is made of them when it is
    asked for; `base` is for the mutated ones.
    """

    def __init__(self, base: Path, run: Path, checkpoint: Path) -> None:
        self.base, self.run, self.checkpoint = base, run, checkpoint
        self.recipe = Recipe.load(run / "recipe.yaml").model_dump(mode="json")
        self.alignment = yaml.safe_load((run / "alignment.yaml").read_text())

    @cached_property
    def finetuned(self) -> Path:
        """A finished fine-tuning."""
        return folders.finetuned(self.base)

    @cached_property
    def outputs(self) -> Path:
        """A teacher's precomputed outputs."""
        return folders.outputs(self.base, self.checkpoint)

    def tries(self, kind: str, drawn: random.Random) -> Try:
        """A call with a mutated input of one kind."""
        return KINDS[kind](self, drawn)


def _recipe(inputs: Inputs, drawn: random.Random) -> Try:
    text = yaml.safe_dump(mutated(inputs.recipe, drawn), allow_unicode=True)
    if drawn.random() < 0.3:
        text = mutated_text(yaml.safe_dump(inputs.recipe), drawn)
    return recipe_try(inputs, text)


def recipe_try(inputs: Inputs, text: str) -> Try:
    """A recipe of this text."""
    path = _written(inputs.base / "recipe.yaml", text)
    return Try(f"recipe {text!r}", ["plan", str(path), "--speed", "1e9"], partial(accepted.of_recipe, path))


def _alignment(inputs: Inputs, drawn: random.Random) -> Try:
    text = yaml.safe_dump(mutated(inputs.alignment, drawn), allow_unicode=True)
    if drawn.random() < 0.3:
        text = mutated_text(yaml.safe_dump(inputs.alignment), drawn)
    return alignment_try(inputs, text)


def alignment_try(inputs: Inputs, text: str) -> Try:
    """An alignment of this text."""
    path = _written(inputs.base / "alignment.yaml", text)
    models = ["--teacher", str(inputs.checkpoint), "--student", str(inputs.checkpoint)]
    return Try(f"alignment {text!r}", ["check", str(path), *models], partial(accepted.of_alignment, path))


_SENTENCES = (("the fox ran", 1), ("a lazy dog", 0), ("birds sing", 1), ("the cat sat", 0))
_OBJECTS = [{"text": text, "label": label} for text, label in _SENTENCES]
_FILES = {
    "rows.csv": "text,label\n" + "".join(f"{text},{label}\n" for text, label in _SENTENCES),
    "rows.tsv": "text\tlabel\n" + "".join(f'"{text}"\t{label}\n' for text, label in _SENTENCES),
    "rows.jsonl": "".join(json.dumps(row) + "\n" for row in _OBJECTS),
    "rows.json": json.dumps(_OBJECTS),
    "rows.txt": "".join(f"{text}\n" for text, _ in _SENTENCES),
    "rows.conll": "".join("".join(f"{word} O\n" for word in text.split()) + "\n" for text, _ in _SENTENCES),
}


def _data(inputs: Inputs, drawn: random.Random) -> Try:
    name, other = drawn.choice(list(_FILES)), drawn.choice(list(_FILES))
    return data_try(inputs, name, mutated_text(_FILES[other if drawn.random() < 0.1 else name], drawn))


def data_try(inputs: Inputs, name: str, text: str) -> Try:
    """A file of data of this name and text."""
    path = _written(inputs.base / name, text)
    return Try(f"data {name} {text!r}", ["data", str(path)], partial(accepted.of_data, path))


def _checkpoint(inputs: Inputs, drawn: random.Random) -> Try:
    damage = mutated_folder(inputs.checkpoint, inputs.base / "checkpoint", drawn)
    models = ["--teacher", str(inputs.base / "checkpoint"), "--student", str(inputs.checkpoint)]
    needed = ["*.safetensors"] if damage.how.startswith(("cut", "deleted", "made")) else []
    return Try(f"checkpoint, {damage}", ["check", "middle", *models], lambda told: accepted.of_models(needed, damage))


def _run(inputs: Inputs, drawn: random.Random) -> Try:
    damage = mutated_folder(inputs.run, inputs.base / "run", drawn)
    command = drawn.choice(("report", "verify"))
    needed = {"report": ["report.json"] if damage.how in ("deleted", "made a folder") else []}.get(
        command, ["teacher/*", "student*/**/*", "*.yaml"]
    )
    return Try(
        f"{command} of a run, {damage}",
        [command, str(inputs.base / "run")],
        lambda told: accepted_folder(inputs.run, inputs.base / "run", needed, damage),
    )


def _finetuned(inputs: Inputs, drawn: random.Random) -> Try:
    folder = inputs.base / "tuned"
    damage = mutated_folder(inputs.finetuned, folder, drawn)
    command, needed = drawn.choice(((["evaluate", "--task", "planted"], ["model/*"]), (["report"], [])))
    return Try(
        f"{command[0]} of a fine-tuning, {damage}",
        [command[0], str(folder), *command[1:]],
        lambda told: accepted_folder(inputs.finetuned, folder, needed, damage),
    )


def _outputs(inputs: Inputs, drawn: random.Random) -> Try:
    folder, learned = inputs.base / "outputs", inputs.base / "learned"
    damage = mutated_folder(inputs.outputs, folder, drawn)
    shutil.rmtree(learned, ignore_errors=True)
    recipe = _written(
        inputs.base / "learning.yaml", folders.learning_from(folder, learned, inputs.checkpoint).to_yaml()
    )
    return Try(
        f"distill from outputs, {damage}",
        ["distill", str(recipe)],
        lambda told: accepted_folder(inputs.outputs, folder, ["*", "*/*", "*/*/*"], damage),
    )


def accepted_folder(origin: Path, folder: Path, needed: Sequence[str], damage: Damage) -> str | None:
    """What is wrong with a call that ended well though a file of a folder was damaged."""
    same = _means_the_same(origin / damage.path, folder / damage.path)
    return None if same else accepted.of_models(needed, damage)


def _means_the_same(before: Path, now: Path) -> bool:
    """Whether a damaged file reads as before: another layout, a recipe that lacks a key with a default value, or a card
    that `verify` has written again.
    """
    if now.name == "README.md":
        return now.is_file() and now.read_bytes() == before.read_bytes()
    if now.suffix not in (".json", ".yaml") or not now.is_file():
        return False
    try:
        if now.name == "recipe.yaml":
            free = {"name", "output", "verification"}  # no model depends on these, which `verify` takes as they are
            return lost(*(Recipe.load(each).model_dump(mode="json", exclude=free) for each in (before, now))) is None
        read = json.loads if now.suffix == ".json" else yaml.safe_load
        pair = read(before.read_text()), read(now.read_text())
        return lost(*pair) is None and lost(*pair[::-1]) is None
    except (ValueError, yaml.YAMLError):
        return False


_WORDS = (
    *("--set", "--task", "--limit", "--steps", "--out", "--teacher", "--student", "--speed", "--kind", "quickstart"),
    *(str(each) for each in VALUES),
    *("training.steps=true", "seeds=[0, 0]", "a.b.c=1", "students.0.name=x"),
)
_COMMANDS = ("plan", "check", "data", "report", "verify", "evaluate", "search", "attribute")


def _arguments(inputs: Inputs, drawn: random.Random) -> Try:
    given = [drawn.choice(_COMMANDS), *(drawn.choice(_WORDS) for _ in range(drawn.randrange(1, 5)))]
    return Try(f"arguments {given}", given)


def _written(path: Path, text: str) -> Path:
    if path.is_dir():
        shutil.rmtree(path)
    path.write_text(text, encoding="utf-8", errors="replace", newline="")
    return path


KINDS: dict[str, Callable[[Inputs, random.Random], Try]] = {
    "recipe": _recipe,
    "alignment": _alignment,
    "data": _data,
    "checkpoint": _checkpoint,
    "run": _run,
    "finetuned": _finetuned,
    "outputs": _outputs,
    "arguments": _arguments,
}


def faults(inputs: Inputs, kind: str, seeds: Iterable[int]) -> Found:
    """How the calls with the mutated inputs of these seeds end."""
    found = Found()
    for seed in seeds:
        one = inputs.tries(kind, random.Random(f"{kind} {seed}"))
        told = fault_of(one, found)
        found.faults += [f"seed {seed}: {told}: {one.name}"] if told is not None else []
    return found
