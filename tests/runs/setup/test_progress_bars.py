import sys
from pathlib import Path

import datasets
import pytest
from transformers.utils import logging

from causalkd.runs.setup.progress_bars import no_bars_in_logs
from tests.forked import ended
from tests.shrunk import SHRUNK, TINY


@pytest.fixture(autouse=True)
def _as_a_user_has_them():
    logging.enable_progress_bar()
    datasets.enable_progress_bars()
    yield
    logging.disable_progress_bar()
    datasets.disable_progress_bars()


def _drawn() -> tuple[bool, bool]:
    return logging.is_progress_bar_enabled(), not datasets.are_progress_bars_disabled()


def test_there_are_none_in_a_log_and_they_come_back():
    with no_bars_in_logs():  # pytest's standard error is no terminal
        assert _drawn() == (False, False)
        with no_bars_in_logs():
            assert _drawn() == (False, False)
        assert _drawn() == (False, False)
    assert _drawn() == (True, True)


def test_they_come_back_after_an_error_and_stay_as_the_user_has_them():
    datasets.disable_progress_bars()
    with pytest.raises(KeyError), no_bars_in_logs():
        raise KeyError
    assert _drawn() == (True, False)


def test_a_decorated_function_has_none():
    assert no_bars_in_logs()(_drawn)() == (False, False)


def test_a_terminal_keeps_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with no_bars_in_logs():
        assert _drawn() == (True, True)


def _log(*arguments: str) -> list[str]:
    """The lines of everything that a process writes into files, where a carriage return ends a line too."""
    done = ended(*arguments)
    written = done.stdout + done.stderr
    assert done.code == 0 and "\r" not in written, written
    return written.splitlines()


def test_a_distillation_that_is_piped_writes_few_lines_and_no_bar(tmp_path: Path):
    changes = [part for change in (*SHRUNK["quickstart"], *TINY, f"output={tmp_path}") for part in ("--set", change)]
    lines = _log("causalkd", "distill", "quickstart", *changes)
    assert len(lines) < 60 and sum(", step " in line for line in lines) == 3
    assert not any(bar in line for line in lines for bar in ("Loading weights", "model shards", "it/s", "%|"))


def test_commands_that_are_called_from_python_write_no_bar_either(tmp_path: Path):
    lines = _log("tests.runs.setup.called_from_python", str(tmp_path))
    assert [line.split(",")[0] for line in lines if ", step " in line] == ["teacher", "student only", "model"]
    assert len(lines) < 10, lines
