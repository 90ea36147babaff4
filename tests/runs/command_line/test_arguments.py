"""Paths of the command line, of which `~` is the home folder."""

from pathlib import Path

import pytest

from causalkd.runs.command_line.arguments import at_home


def test_the_home_folder_may_be_written_as_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere/else")
    assert at_home(Path("~/run")) == Path("/somewhere/else/run")
    assert at_home("~/teacher") == "/somewhere/else/teacher"
    assert at_home([Path("~/a"), Path("b")]) == [Path("/somewhere/else/a"), Path("b")]
    assert at_home(None) is None and at_home("middle") == "middle"
