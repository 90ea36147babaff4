"""Checkpoints are known from what has a similar name."""

from pathlib import Path

from causalkd.runs.folder.entries import checkpoints_in, step_of


def test_checkpoints_come_the_latest_first(tmp_path: Path) -> None:
    for name in ("checkpoint-9", "checkpoint-10", "checkpoint-10 (copy)", "checkpoint-best"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-11").write_text("a file")
    assert [step_of(path) for path in checkpoints_in(tmp_path)] == [10, 9] and checkpoints_in(tmp_path / "no") == []
