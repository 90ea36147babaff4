"""The folder of a run: the paths of its files, when it is finished, and which files may be deleted."""

import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from causalkd.alignment.spec import Alignment
from causalkd.errors import read_yaml
from causalkd.files.manifest import MANIFEST, damage, recorded_files
from causalkd.files.records import is_record
from causalkd.files.refusals import refused
from causalkd.files.whole_files import write_whole
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.runs.folder.entries import checkpoints_in

_FILES = (
    *("recipe.yaml", "alignment.yaml", "metrics.jsonl", "report.json", "finetune.json", "report.html", "report.md"),
    *("found_alignment.yaml", "evaluation.json", "data.json"),
)
_MODELS, _MODEL_CARD = ("teacher", "student", "model"), "README.md"
MAPS_DRAFT = ".attributions.draft"
"""The folder where attribution maps are collected before they replace earlier ones."""
_INSIDE = {
    "costs": r"[^/]+\.json",
    "attributions": r"(results|manifest)\.json|[^/]+/layer\d+\.safetensors",
    MAPS_DRAFT: r".*",
    "evaluations": r".*",
    "responses": r"[^/]+\.jsonl",
    "unfinished": r".*",
    "trackers": r".*",
}
"""The files that a run writes into its folders, in addition to the models, which have manifests."""
LOCK, WORKER = ".lock", ".worker.json"
_DRAFT = re.compile(rf"\.({'|'.join(map(re.escape, (*_FILES, WORKER)))})\..+")


class Cost(NamedTuple):
    """The cost of a training."""

    block_forwards: float | None
    """Forwards of one block over one row, summed over all processes. None if the folder has no record, or if an earlier
    version wrote it after an interruption; the same holds for `seconds`."""
    seconds: float | None
    steps: int | None
    """Optimizer steps; None in folders of earlier versions."""


@dataclass(frozen=True)
class RunFolder:
    """The paths of the parts of a run."""

    path: Path

    @property
    def report(self) -> Path:
        """The report; a run that verifies is finished when it exists."""
        return self.path / "report.json"

    @property
    def finetuned(self) -> Path:
        """The results of a fine-tuning; such a run is finished when they exist."""
        return self.path / "finetune.json"

    @property
    def finished(self) -> bool:
        """Whether the run is done."""
        return self.report.is_file() or self.finetuned.is_file()

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
        return self.path / "found_alignment.yaml"

    @property
    def metrics(self) -> Path:
        """The terms of every training, as JSON lines."""
        return self.path / "metrics.jsonl"

    @property
    def data(self) -> Path:
        """The record of the run's data; see `causalkd.runs.setup.provenance`."""
        return self.path / "data.json"

    @property
    def replaced(self) -> Path:
        """The run that this one replaces, until this one is finished."""
        return self.path / "replaced"

    @property
    def teacher(self) -> Path:
        """The trained teacher's checkpoint."""
        return self.path / "teacher"

    def student(self, recipe: Recipe, name: str, seed: int) -> Path:
        """A student's checkpoint: `student/` itself if the recipe trains only one."""
        if len(recipe.students) * len(recipe.seeds) == 1:
            return self.path / "student"
        return self.path / "student" / f"{name}-seed{seed}"

    def model(self, recipe: FinetuneRecipe, seed: int) -> Path:
        """A fine-tuned checkpoint: `model/` itself if the recipe has only one seed."""
        return self.path / "model" / (f"seed{seed}" if len(recipe.seeds) > 1 else "")

    def work(self, name: str) -> Path:
        """The folder of a training's checkpoints; it is deleted when the training is done."""
        return self.path / "unfinished" / name

    def last_checkpoint(self, name: str, tell: Callable[[str], None] | None = None) -> Path | None:
        """The last intact checkpoint of a training; None if there is none.

        Args:
            name: The training.
            tell: Receives one line for each later checkpoint that cannot be used, with the reason.
        """
        for checkpoint in checkpoints_in(self.work(name)):
            fault = damage(checkpoint)
            if fault is None:
                return checkpoint
            if tell is not None:
                tell(f"{checkpoint} cannot be used: {fault}; training continues from the checkpoint before, if any")
        return None

    def tracked(self, name: str) -> Path:
        """The files that trackers wrote into the folder of a training, such as TensorBoard's."""
        return self.path / "trackers" / name

    def cost(self, name: str) -> Path:
        """The cost of a training."""
        return self.path / "costs" / f"{name}.json"

    @property
    def attributions(self) -> Path:
        """The attribution maps; see `causalkd.runs.folder.map_files`."""
        return self.path / "attributions"

    @property
    def attribution_results(self) -> Path:
        """The results of measuring the attribution maps."""
        return self.attributions / "results.json"

    def holds_anything(self) -> bool:
        """Whether there is something in the folder.

        Raises:
            ValueError: It is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path} is a file, so a run cannot be written there; choose another `output`")
        return self.path.is_dir() and bool(self._entries())

    def start(self, recipe: Recipe | FinetuneRecipe, alignment: Alignment | None) -> None:
        """Creates the folder of a new run; the recipe, which makes it a run, is written last.

        Raises:
            ValueError: The folder cannot be written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if alignment is not None:
                write_whole(self.alignment, alignment.to_yaml())
            write_whole(self.recipe, recipe.to_yaml())
        except OSError as error:
            raise ValueError(f"a run cannot be written to {self.path}: {error}; choose another `output`") from error

    def holds_finetuning(self) -> bool:
        """Whether the recipe in the folder is one of a fine-tuning, which has no alignment."""
        with suppress(ValueError):
            found = read_yaml(self.recipe)
            return isinstance(found, dict) and "model" in found and "teacher" not in found
        return False

    def hardly_begun(self) -> bool:
        """Whether the folder holds only files that a run writes before its recipe; its record of the data comes
        first.
        """
        names = {entry.name for entry in self._entries()}
        return not names or (names <= {self.alignment.name, self.data.name} and is_record(self.data))

    def set_aside(self) -> None:
        """Moves the run into `replaced`, its report first and its recipe last; `settle` takes it back or deletes it.

        A run that would itself have replaced one that was set aside is deleted instead.

        Raises:
            ValueError: The folder holds files that no run writes, or lacks files of every run; nothing is moved.
        """
        self._check_is_run()
        if (self.replaced / self.recipe.name).is_file():
            self.clear()
            return
        self.replaced.mkdir(exist_ok=True)
        for entry in sorted(self._entries(), key=self._order):
            os.replace(entry, self.replaced / entry.name)

    def settle(self) -> None:
        """Finishes the work of a killed process: deletes drafts, and takes back a run that was set aside, or deletes it
        if the new one is finished.
        """
        for entry in self.path.iterdir():
            if entry.is_file() and _DRAFT.fullmatch(entry.name):
                entry.unlink()
        if not self.replaced.is_dir():
            return
        aside = RunFolder(self.replaced)
        if self.finished:
            aside._delete()
        elif not (self.recipe.is_file() and aside.recipe.is_file()):
            # The other order: a report here says that the run set aside may be deleted.
            for entry in sorted(aside._entries(), key=aside._order_back):
                os.replace(entry, self.path / entry.name)
            self.replaced.rmdir()

    def clear(self) -> None:
        """Deletes the run in the folder, its report first and its recipe last.

        Raises:
            ValueError: The folder holds files that no run writes, or lacks files of every run; nothing is deleted.
        """
        if self.holds_anything():
            self._check_is_run()
            self._delete()
            self.path.mkdir(exist_ok=True)

    def _check_is_run(self) -> None:
        wanted = (self.recipe,) if self.holds_finetuning() else (self.recipe, self.alignment)
        lacking = [path.name for path in wanted if not path.is_file()]
        foreign = [] if lacking else self._contents()[1]  # a user's folder may be very large
        if foreign or lacking:
            named = ", ".join(foreign[:10]) + (f" and {len(foreign) - 10} more" if len(foreign) > 10 else "")
            holds = f"holds {named}" if foreign else f"has no {' and no '.join(lacking)}"
            raise ValueError(
                f"{self.path} {holds}, so it is not exactly a run, and only a run is deleted to be overwritten; "
                "choose another `output`, or clear the folder yourself"
            )

    def _entries(self) -> list[Path]:
        """The contents of the folder, without the lock and the run that was set aside."""
        return [entry for entry in self.path.iterdir() if entry.name not in (LOCK, WORKER, self.replaced.name)]

    def _order(self, entry: Path) -> int:
        return 0 if entry in (self.report, self.finetuned) else 2 if entry == self.recipe else 1

    def _order_back(self, entry: Path) -> int:
        return 2 if entry in (self.report, self.finetuned) else 1 if entry == self.recipe else 0

    def _contents(self) -> tuple[list[Path], list[str]]:
        """The files here that a run has written, and the names of the others."""
        ours, foreign = [], []
        for entry in sorted(self._entries()):
            if entry.is_symlink() or (entry.is_dir() and entry.name not in (*_MODELS, *_INSIDE)):
                foreign.append(entry.name)
            elif entry.is_dir():
                for folder, below, files in os.walk(entry):
                    recorded = recorded_files(Path(folder))
                    recorded |= {Path(folder) / _MODEL_CARD} if recorded else set()
                    links = [name for name in below if (Path(folder) / name).is_symlink()]
                    for path in (Path(folder) / name for name in (*files, *links)):
                        mine = not path.is_symlink() and (path in recorded or self._belongs(path))
                        ours.append(path) if mine else foreign.append(str(path.relative_to(self.path)))
            elif entry.name in _FILES or _DRAFT.fullmatch(entry.name):
                ours.append(entry)
            else:
                foreign.append(entry.name)
        return ours, foreign

    def _belongs(self, path: Path) -> bool:
        first, *rest = path.relative_to(self.path).parts
        draft = re.fullmatch(r"\..+\.draft", path.name)
        return bool(draft) or (first in _INSIDE and re.fullmatch(_INSIDE[first], "/".join(rest)) is not None)

    def _delete(self) -> None:
        """Deletes the files of a run, each manifest after the files that it lists, and the folders left empty."""
        ours, _ = self._contents()
        for path in sorted(ours, key=lambda path: (self._order(path), path.name == MANIFEST)):
            path.unlink()
        for folder, _, _ in os.walk(self.path, topdown=False):
            if folder != str(self.path / self.replaced.name) and not os.listdir(folder):
                os.rmdir(folder)

    def read_cost(self, name: str) -> Cost:
        """The cost of a training; all fields are None without its file. Raises ValueError for a damaged file."""
        file = self.cost(name)
        if not file.is_file():
            return Cost(None, None, None)
        with refused(f"{file} is damaged", "put it back from a copy, or delete it: the cost is then unknown"):
            found = json.loads(file.read_text(encoding="utf-8"))
            # Earlier versions wrote `resumed` if they had lost the cost before an interruption.
            whole = (None, None) if found.get("resumed") else (float(found["block_forwards"]), float(found["seconds"]))
            return Cost(*whole, found.get("steps"))
