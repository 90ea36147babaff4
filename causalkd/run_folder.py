"""The folder of a run: which file holds what, when a run is finished, and what may be deleted."""

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from causalkd.alignment.spec import Alignment
from causalkd.recipe import Recipe

_FILES = (
    "recipe.yaml",
    "alignment.yaml",
    "metrics.jsonl",
    "report.json",
    "report.html",
    "report.md",
    "found.yaml",
    "evaluation.json",
)
_FOLDERS = ("teacher", "student", "costs", "unfinished", "trackers", "attributions", "responses", "evaluations")
_DRAFT = re.compile(rf"\.({'|'.join(map(re.escape, _FILES))})\..*")


class Cost(NamedTuple):
    """What a training cost."""

    block_forwards: float | None
    """None where it was interrupted, and so not counted whole; `seconds` too."""
    seconds: float | None
    steps: int | None
    """Optimizer steps; None in folders of earlier versions."""


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
    def found(self) -> Path:
        """The alignment that a search found."""
        return self.path / "found.yaml"

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

    def last_checkpoint(self, name: str) -> Path | None:
        """The last checkpoint of a training that was written to its end; None where there is none."""
        # The Trainer writes its state last, and so not at all when it is interrupted before.
        whole = [path.parent for path in self.work(name).glob("checkpoint-*/trainer_state.json")]
        return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)

    def tracked(self, name: str) -> Path:
        """What trackers wrote into the folder of a training, such as TensorBoard's files."""
        return self.path / "trackers" / name

    def cost(self, name: str) -> Path:
        """What a training cost."""
        return self.path / "costs" / f"{name}.json"

    @property
    def attributions(self) -> Path:
        """The attribution maps; see `causalkd.map_files`."""
        return self.path / "attributions"

    @property
    def attribution_results(self) -> Path:
        """What the attribution maps were measured for."""
        return self.attributions / "results.json"

    def holds_anything(self) -> bool:
        """Whether there is something in the folder.

        Raises:
            ValueError: It is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path} is a file, so no run can be put there; choose another `output`")
        return self.path.is_dir() and any(self.path.iterdir())

    def begin(self, recipe: Recipe, alignment: Alignment) -> None:
        """Makes the folder of a new run; the recipe, which makes it one, is written last.

        Raises:
            ValueError: Nothing can be written there.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_whole(self.alignment, alignment.to_yaml())
            write_whole(self.recipe, recipe.to_yaml())
        except OSError as error:
            raise ValueError(f"no run can be put into {self.path}: {error}; choose another `output`") from error

    def clear(self) -> None:
        """Deletes the run in the folder, its report first.

        Raises:
            ValueError: The folder holds something that no run writes, or lacks what every run has; nothing is deleted.
        """
        if not self.holds_anything():
            return
        entries = list(self.path.iterdir())
        foreign = sorted(entry.name for entry in entries if not _written_by_runs(entry))
        lacking = [path.name for path in (self.recipe, self.alignment) if not path.is_file()]
        if foreign or lacking:
            holds = f"holds {', '.join(foreign)}" if foreign else f"has no {' and no '.join(lacking)}"
            raise ValueError(
                f"{self.path} {holds}, so it is more or less than a run, and only a run is deleted to be overwritten; "
                "choose another `output`, or clear the folder yourself"
            )
        for entry in sorted(entries, key=lambda entry: entry != self.report):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def read_cost(self, name: str) -> Cost:
        """What a training cost."""
        found = json.loads(self.cost(name).read_text()) if self.cost(name).is_file() else {"resumed": True}
        whole = (None, None) if found["resumed"] else (float(found["block_forwards"]), found["seconds"])
        return Cost(*whole, found.get("steps"))


def _written_by_runs(entry: Path) -> bool:
    if entry.is_symlink():
        return False
    return entry.name in _FOLDERS if entry.is_dir() else entry.name in _FILES or bool(_DRAFT.fullmatch(entry.name))


def write_whole(path: Path, text: str) -> None:
    """Writes a file in one step: a reader sees the old text or the whole new one."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)
