"""Verification, attribution and evaluation by one process and shared by four give the same files, and one output."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.forked import ended
from tests.runs.shared_work import ERRORS, OUTPUT
from tests.shrunk import FinishedRun

COUNTS = (1, 3)
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


@pytest.fixture(scope="module")
def measured(quickstart: FinishedRun, quickstart_lm: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each number of processes, with what they measured and printed, and one where they failed."""
    base = tmp_path_factory.mktemp("measured")
    for name in (*map(str, COUNTS), "fault"):
        (base / name).mkdir()
        (base / name / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in _PROMPTS))
        _copy(quickstart, base / name / "planted", 3)
        _copy(quickstart_lm, base / name / "stories", 13)
    done = ended("tests.runs.shared_work", str(base), *map(str, COUNTS))
    told = [path.read_text()[-3000:] for path in base.glob(f"[0-9]/{ERRORS}")]
    assert done.code == 0, "\n".join([done.stderr[-3000:], *told])
    return base


@pytest.mark.trains
def test_any_number_of_processes_measures_the_same(measured: Path) -> None:
    bases = [measured / str(count) for count in COUNTS]
    one, *others = ((_contents(base), (base / OUTPUT).read_text().replace(str(base), "BASE")) for base in bases)
    written = {"planted/report.json", "planted/attributions/results.json", "stories/evaluation.json"}
    assert written <= set(one[0]) and any(name.startswith("planted/evaluations/") for name in one[0])
    assert all(other == one for other in others)


@pytest.mark.trains
def test_a_fault_of_one_process_ends_all_with_one_message(
    quickstart: FinishedRun, measured: Path, tmp_path: Path
) -> None:
    base = measured / "fault"
    assert (base / "ended.txt").is_file() and (base / OUTPUT).read_text() == ""
    assert [line for line in (base / ERRORS).read_text().splitlines() if line.startswith("causalkd: ")] == [
        "causalkd: the last process alone cannot go on"
    ]
    assert _contents(base / "planted") == _contents(_copy(quickstart, tmp_path / "planted", 3))
