"""Verification, attribution and evaluation shared by 1, 2 and 4 processes give the same files, and one output."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.shrunk import FinishedRun

ROOT = Path(__file__).parent.parent.parent
_PROMPTS = [{"instruction": f"tom has {number} keys", "output": "yes"} for number in range(2, 20)]


def _copy(run: FinishedRun, folder: Path, size: int) -> Path:
    """The run with batches of some pairs."""
    shutil.copytree(run.folder.path, folder)
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    assert recipe["verification"]["pairs"] % size == 1  # the last pair is alone in its batch
    recipe["verification"]["batch_size"] = size
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder


def _contents(base: Path) -> dict[str, str]:
    """The digests of all files that were measured; pages show these, and the times of the training."""
    found = {}
    for path in sorted(base.rglob("*")):
        if path.is_file() and path.suffix in (".json", ".jsonl", ".parquet", ".safetensors", ".md"):
            found[str(path.relative_to(base))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _program(processes: int, *given: str) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, "-m", "tests.runs.shared_work", str(processes), *given]
    return subprocess.run(program, cwd=ROOT, capture_output=True, text=True)


def _measured(processes: int, base: Path, planted: FinishedRun, stories: FinishedRun) -> tuple[dict[str, str], str]:
    base.mkdir()
    (base / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in _PROMPTS))
    done = _program(processes, str(_copy(planted, base / "planted", 3)), str(_copy(stories, base / "stories", 13)))
    assert done.returncode == 0, done.stderr[-3000:]
    return _contents(base), done.stdout.replace(str(base), "BASE")


@pytest.mark.trains
def test_any_number_of_processes_measures_the_same(
    quickstart: FinishedRun, quickstart_lm: FinishedRun, tmp_path: Path
) -> None:
    alone, printed = _measured(1, tmp_path / "1", quickstart, quickstart_lm)
    written = {"planted/report.json", "planted/attributions/results.json", "stories/evaluation.json"}
    assert written <= set(alone) and any(name.startswith("planted/evaluations/") for name in alone)
    for processes in (2, 4):
        assert _measured(processes, tmp_path / str(processes), quickstart, quickstart_lm) == (alone, printed)


@pytest.mark.trains
def test_a_fault_of_one_process_ends_all_with_one_message(quickstart: FinishedRun, tmp_path: Path) -> None:
    folder = _copy(quickstart, tmp_path / "planted", 3)
    before = _contents(folder)
    done = _program(3, str(folder), "--fault")
    assert done.returncode != 0 and done.stdout == ""
    assert [line for line in done.stderr.splitlines() if line.startswith("causalkd: ")] == [
        "causalkd: the last process alone cannot go on"
    ]
    assert _contents(folder) == before
