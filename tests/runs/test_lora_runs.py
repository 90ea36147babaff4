"""A run whose student learns by low-rank adapters."""

from pathlib import Path

import torch

from causalkd.runs import distill as runs
from causalkd.runs.folder.layout import RunFolder
from tests.runs.test_distill import RESUMED, _equal, _interrupt, _weights
from tests.shrunk import shrunk


def test_a_student_with_adapters_learns_resumes_and_is_saved_merged(tmp_path: Path) -> None:
    """Attribution maps and interchanges pass through the adapters; an interrupted training ends equal to the bit."""
    student = (
        "students=[{name: only, layers: [0, 1], training: {steps: 4}, lora: {rank: 2, dropout: 0.1}, "
        "objectives: {response_kd: {}, diito: {weight: 2}, adkd: {}}}]"
    )
    folders = []
    for name in ("whole", "resumed"):
        recipe = shrunk("quickstart", tmp_path / name, *RESUMED, student)
        if name == "resumed":
            _interrupt(recipe, "only", 3)
        runs.distill(recipe)
        folders.append(RunFolder(recipe.folder))
    whole, resumed = (_weights(folder.path / "student") for folder in folders)
    assert _equal(whole, resumed)
    teacher = _weights(folders[0].path / "teacher")
    assert whole.keys() == teacher.keys()
    changed = {name for name, weight in whole.items() if not torch.equal(weight, teacher[name])}
    assert any(".query.weight" in name for name in changed) and any("classifier" in name for name in changed)
    assert not any("embeddings" in name for name in changed)  # which have no adapters
