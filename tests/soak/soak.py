"""Every command of a tiny run, killed and called again: in the end the folder is that of a run nobody has killed."""

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from causalkd.training.callbacks import read_rows
from tests.shrunk import RESUMED, SHRUNK
from tests.soak.killed import Ended, command

_TIMES = {"seconds"}
_ATTRIBUTE = ("--limit", "4", "--steps", "2", "--portions", "2")


class Fault(AssertionError):
    """A run did not end as it ends without a kill."""


class Step(NamedTuple):
    """A command, the folder it begins with, and how it ends without a kill."""

    name: str
    arguments: list[str]
    before: Path | None
    after: dict[str, str]
    ended: Ended


def soak(base: Path, *, moments: int, operations: int | None, seed: int, tell: Callable[[str], None]) -> int:
    """Kills every command at random moments and at file operations, and returns how often it was killed.

    Args:
        base: An empty folder.
        moments: Random moments, over all commands.
        operations: File operations of each command, evenly spread; None for every one.
        seed: Seed of the moments.
        tell: Receives one line for each trial.

    Raises:
        Fault: A command did not come to the same end.
    """
    run, drawn, kills = base / "run", random.Random(seed), 0
    steps = list(_steps(base, run))
    for step in steps:
        made = step.ended.operations
        numbers = spread(made, made if operations is None else operations)
        tell(f"{step.name}: {made} file operations, {step.ended.seconds:.1f} s")
        for number in numbers:
            kills += _try(step, run, f"{step.name}, file operation {number}", at_operation=number)
    for number in range(moments):
        step = drawn.choice(steps)
        after = drawn.uniform(0, step.ended.seconds)
        kills += _try(step, run, f"{step.name}, after {after:.3f} s (moment {number})", after=after)
    return kills


def spread(size: int, amount: int) -> list[int]:
    """So many of the numbers below `size`, evenly spread from the middle of each part."""
    amount = min(size, amount)
    return [(2 * number + 1) * size // (2 * amount) for number in range(amount)]


def _steps(base: Path, run: Path) -> Iterator[Step]:
    distill = ["distill", "quickstart"]
    further = ("verification.components=[]", "training.group_by_length=true", f"output={run}")
    for change in (*SHRUNK["quickstart"], *RESUMED, *further):
        distill += ["--set", change]
    other = [*distill, "--set", "seeds=[3]"]
    plan = [
        ("distill", distill),
        ("attribute", ["attribute", str(run), *_ATTRIBUTE]),
        ("verify", ["verify", str(run)]),
        ("distill --overwrite", [*other, "--overwrite"]),
    ]
    before: Path | None = None
    for name, arguments in plan:
        ended = command(arguments, base)
        if ended.code != 0:
            raise Fault(f"{name} fails without a kill: {ended.told[-3000:]}")
        yield Step(name, arguments, before, contents(run), ended)
        before = shutil.copytree(run, base / f"after {name}")


def _try(step: Step, run: Path, what: str, **when: Any) -> int:
    shutil.rmtree(run, ignore_errors=True)
    if step.before is not None:
        shutil.copytree(step.before, run)
    killed = command(step.arguments, run.parent, **when)
    if killed.code not in (None, 0):
        raise Fault(f"{what}: ended with {killed.code} and no kill: {killed.told[-3000:]}")
    _finish(step, run, what)
    found = contents(run)
    if found != step.after:
        changed = sorted(name for name in {*found, *step.after} if found.get(name) != step.after.get(name))
        raise Fault(f"{what}: other contents of {', '.join(changed)}")
    return int(killed.code is None)


def _finish(step: Step, run: Path, what: str) -> None:
    """Calls the command again; a new run is begun over an old one only where the old one still stands."""
    plain = [argument for argument in step.arguments if argument != "--overwrite"]
    again = command(plain, run.parent)
    if again.code == 2 and "holds a finished run" in again.told:
        if contents(run) == step.after:
            return
        again = command(step.arguments, run.parent)
    if again.code != 0 or "Traceback" in again.told:
        raise Fault(f"{what}: stuck: {again.told[-3000:]}")


def contents(run: Path) -> dict[str, str]:
    """The digest of every file of a run, without times and what depends on them."""
    return {
        str(path.relative_to(run)): _digest(path) for path in sorted(run.rglob("*")) if path.is_file() and _lasts(path)
    }


def _lasts(path: Path) -> bool:
    # Pages show times, and a manifest holds their digests: of the files that they show all others are compared.
    return path.suffix not in (".html", ".md") and path.name not in (".lock",)


def _digest(path: Path) -> str:
    if path.name == "metrics.jsonl":
        rows = [{key: value for key, value in row.items() if key != "grad_norm"} for row in read_rows(path)]
        owners = sorted({(row["student"], row["seed"]) for row in rows})
        return json.dumps([[row for row in rows if (row["student"], row["seed"]) == owner] for owner in owners])
    if path.suffix == ".json":
        return json.dumps(_without_times(json.loads(path.read_text())))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(each) for key, each in value.items() if key not in _TIMES}
    return [_without_times(each) for each in value] if isinstance(value, list) else value
