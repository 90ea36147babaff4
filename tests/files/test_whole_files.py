import os
from pathlib import Path

import pytest

from causalkd.files.whole_files import replace_folder, write_whole


def test_a_write_that_fails_leaves_the_old_text_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, "old")

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old" and [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_folder_takes_the_place_of_another_and_is_whole(tmp_path: Path) -> None:
    for text in ("old", "new"):
        replace_folder(tmp_path / "a" / "b", lambda draft, text=text: (draft / text).write_text(text))
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["new"]

    def fail(draft: Path) -> None:
        (draft / "half").write_text("")
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        replace_folder(tmp_path / "a" / "b", fail)
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["new"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_a_folder_takes_the_place_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    replace_folder(tmp_path / "a", lambda draft: (draft / "new").touch())
    assert not (tmp_path / "a").is_symlink() and (tmp_path / "elsewhere" / "kept").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"a", "elsewhere"}
