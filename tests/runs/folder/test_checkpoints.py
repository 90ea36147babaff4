"""A checkpoint counts if it equals its manifest; otherwise the one before it counts, and a message says so."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from causalkd.files.manifest import write_manifest
from causalkd.runs import distill as runs
from causalkd.runs.folder.checkpoints import TrainingCost, resumable
from causalkd.runs.folder.layout import RunFolder
from tests.shrunk import RESUMED, interrupted, planted_model, shrunk


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("whole") / "run")
    runs.distill(shrunk("quickstart", folder.path, *RESUMED))
    return folder


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Interrupted after step 5, with checkpoints of steps 2 and 4."""
    folder = RunFolder(tmp_path_factory.mktemp("cut") / "run")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runs, "build_trainer", interrupted("only", 5))
        runs.distill(shrunk("quickstart", folder.path, *RESUMED))
    assert {path.name for path in folder.work("only-seed0").glob("checkpoint-*")} == {"checkpoint-2", "checkpoint-4"}
    return folder


def _weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    return AutoModelForSequenceClassification.from_pretrained(folder.path / "student").state_dict()


def _step_999(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "global_step": 999}))


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("trainer_state.json", lambda path: path.write_bytes(b"")),
        ("trainer_state.json", _step_999),
        ("optimizer.pt", lambda path: path.write_bytes(path.read_bytes()[:100])),
        ("scheduler.pt", Path.unlink),
        ("rng_state.pth", Path.unlink),
        ("model.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-8])),
    ],
)
def test_a_spoilt_checkpoint_is_passed_over(
    cut: RunFolder, whole: RunFolder, tmp_path: Path, name: str, spoil: Any
) -> None:
    folder, told = RunFolder(shutil.copytree(cut.path, tmp_path / "run")), []
    spoil(folder.work("only-seed0") / "checkpoint-4" / name)
    report = runs.distill(shrunk("quickstart", folder.path, *RESUMED), tell=told.append)
    (line,) = [line for line in told if "cannot be used" in line]
    assert "checkpoint-4 cannot be used: " in line and name in line and "from the checkpoint before" in line
    assert all(torch.equal(tensor, _weights(whole)[key]) for key, tensor in _weights(folder).items())
    counted = folder.read_cost("only-seed0")
    assert (counted.block_forwards, counted.steps) == (whole.read_cost("only-seed0").block_forwards, 8)
    assert report.students[0].block_forwards == counted.block_forwards


def test_what_cannot_be_used_is_deleted(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in (2, 4, 6):
        (folder.work("kd") / f"checkpoint-{step}").mkdir(parents=True)
    write_manifest(folder.work("kd") / "checkpoint-4")
    assert resumable(folder, "kd", None) == folder.work("kd") / "checkpoint-4"
    assert {path.name for path in folder.work("kd").iterdir()} == {"checkpoint-2", "checkpoint-4"}
    (folder.work("kd") / "checkpoint-4" / "manifest.json").unlink()
    assert resumable(folder, "kd", None) is None and [*folder.work("kd").iterdir()] == []
    assert TrainingCost.until(None) == TrainingCost(0.0, 0.0)


def _permute(path: Path) -> None:
    """Gives every word the number of another, and all others stay as they were."""
    tokenizer = json.loads(path.read_text())
    special = {each["content"] for each in tokenizer["added_tokens"]}
    words = [word for word in tokenizer["model"]["vocab"] if word not in special]
    numbers = [tokenizer["model"]["vocab"][word] for word in words]
    tokenizer["model"]["vocab"] |= dict(zip(words, numbers[1:] + numbers[:1], strict=True))
    path.write_text(json.dumps(tokenizer))


@pytest.mark.parametrize(
    ("name", "spoil", "told"),
    [
        ("model.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"), "the contents of"),
        ("tokenizer.json", _permute, "tokenizer.json"),
        ("tokenizer.json", Path.unlink, "tokenizer.json is missing"),
        ("tokenizer_config.json", lambda path: path.write_text("{}"), "tokenizer_config.json has 2"),
    ],
)
@pytest.mark.parametrize("model", ["student", "teacher"])
def test_a_damaged_model_is_refused(
    whole: RunFolder, tmp_path: Path, model: str, name: str, spoil: Any, told: str
) -> None:
    path = shutil.copytree(whole.path, tmp_path / "run")
    spoil(path / model / name)
    with pytest.raises(ValueError, match=rf"{model} is damaged: .*{name}") as caught:
        runs.verify(path)
    assert told in str(caught.value)


def test_a_permuted_tokenizer_of_a_teacher_that_was_not_trained_is_refused(tmp_path: Path) -> None:
    """The words of the task no longer have the numbers that the models were trained with."""
    planted_model(num_hidden_layers=2).save_pretrained(tmp_path / "teacher")
    changes = ("teacher.config=null", "teacher.training=null", f"teacher.model={tmp_path / 'teacher'}")
    runs.distill(shrunk("quickstart", tmp_path / "run", *RESUMED, *changes))
    _permute(tmp_path / "teacher" / "tokenizer.json")
    with pytest.raises(ValueError, match="has a vocabulary of its own, which"):
        runs.verify(tmp_path / "run")
