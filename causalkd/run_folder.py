"""The folder of a run: which file holds what, and when a run is finished."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from causalkd.recipe import Recipe


@dataclass(frozen=True)
class RunFolder:
    """Where the parts of a run lie."""

    path: Path

    @property
    def report(self) -> Path:
        """The report; a run is finished when it exists."""
        return self.path / "report.json"

    @property
    def recipe(self) -> Path:
        """The complete recipe."""
        return self.path / "recipe.yaml"

    @property
    def alignment(self) -> Path:
        """The alignment."""
        return self.path / "alignment.yaml"

    @property
    def metrics(self) -> Path:
        """The terms of every training, as JSON lines."""
        return self.path / "metrics.jsonl"

    @property
    def teacher(self) -> Path:
        """The trained teacher's checkpoint."""
        return self.path / "teacher"

    def student(self, recipe: Recipe, name: str, seed: int) -> Path:
        """A student's checkpoint: `student/` itself where the recipe trains just one."""
        if len(recipe.students) * len(recipe.seeds) == 1:
            return self.path / "student"
        return self.path / "student" / f"{name}-seed{seed}"

    def work(self, name: str) -> Path:
        """Where a training keeps what it can resume from; gone when it is done."""
        return self.path / "unfinished" / name

    def cost(self, name: str) -> Path:
        """What a training cost."""
        return self.path / "costs" / f"{name}.json"

    def read_cost(self, name: str) -> tuple[float | None, float | None]:
        """Block-forwards and seconds of a training; None for a training that was interrupted and so not counted whole."""
        cost = json.loads(self.cost(name).read_text()) if self.cost(name).is_file() else {"resumed": True}
        return (None, None) if cost["resumed"] else (cost["block_forwards"], cost["seconds"])


def write_whole(path: Path, text: str) -> None:
    """Writes a file in one step: a reader sees the old text or the whole new one."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)
