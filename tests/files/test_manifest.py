"""A folder is whole when it is what its manifest says."""

import json
from pathlib import Path

import pytest

from causalkd.files.manifest import changed_since, damage, recorded_files, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "weights").write_bytes(b"weights")
    (tmp_path / "sub" / "config").write_text("{}")
    write_manifest(tmp_path)
    return tmp_path


def test_what_is_as_it_was_written(folder: Path) -> None:
    assert damage(folder) is None
    (folder / "README.md").write_text("a card that is added later")
    assert damage(folder) is None
    assert recorded_files(folder) == {folder / name for name in ("manifest.json", "weights", "sub/config")}


@pytest.mark.parametrize(
    ("name", "contents", "told"),
    [
        ("weights", b"", "weights has 0 bytes, and 7 were written"),
        ("weights", b"Weights", "the contents of weights are not what was written"),
        ("sub/config", None, "sub/config is missing"),
        ("manifest.json", None, "it has no manifest.json, so it was not written completely"),
        ("manifest.json", b"", "its manifest.json cannot be read"),
        ("manifest.json", b"[]", "its manifest.json cannot be read"),
        ("manifest.json", b'{"files": {"weights": {}}}', "its manifest.json cannot be read"),
    ],
)
def test_what_is_not(folder: Path, name: str, contents: bytes | None, told: str) -> None:
    (folder / name).unlink() if contents is None else (folder / name).write_bytes(contents)
    assert damage(folder) == told
    assert name != "manifest.json" or recorded_files(folder) == set()
    assert changed_since(folder) == (None if name == "manifest.json" else told)  # such a file may be someone else's


def test_what_is_hidden_is_not_recorded(tmp_path: Path) -> None:
    for name in (".lock", ".draft/weights", "weights"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    write_manifest(tmp_path)
    assert recorded_files(tmp_path) == {tmp_path / "weights", tmp_path / "manifest.json"}


def test_a_manifest_that_lists_less_than_was_written(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["weights"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert damage(folder) == changed_since(folder) == "its manifest.json was changed after it was written"
    assert recorded_files(folder) == set()
