"""Paths of the command line, of which `~` is the home folder."""

from pathlib import Path

import pytest

from causalkd.runs.arguments import at_home


def test_the_home_folder_may_be_written_as_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert at_home(Path("~/run")) == Path("/home/someone/run")
    assert at_home("~/teacher") == "/home/someone/teacher"
    assert at_home([Path("~/a"), Path("b")]) == [Path("/home/someone/a"), Path("b")]
    assert at_home(None) is None and at_home("middle") == "middle"
