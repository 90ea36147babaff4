"""Two processes in one folder: the message for the second names the first; a killed one leaves no lock."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from causalkd.runs.folder.lock import locked, working_alone

HOLD = """
import sys
from pathlib import Path
from causalkd.runs.folder.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def _holder(path: Path) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], text=True, **pipes, env={**os.environ})
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_the_second_process_is_refused_and_a_kill_releases_the_lock(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("{}")
    told = rf"process \d+ on host {socket.gethostname()} is working in .*; wait until it is done"
    with _holder(tmp_path) as holder:
        with pytest.raises(ValueError, match=told.replace(r"\d+", str(holder.pid))), locked(tmp_path):
            pass
        with pytest.raises(ValueError, match=told):
            working_alone(lambda path: None)(tmp_path)
        holder.send_signal(signal.SIGKILL)
    assert (tmp_path / ".worker.json").exists()
    with locked(tmp_path):
        assert str(os.getpid()) in (tmp_path / ".worker.json").read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == ["recipe.yaml"]


def test_a_folder_without_a_run_is_not_touched(tmp_path: Path) -> None:
    assert working_alone(lambda path: [*Path(path).iterdir()])(tmp_path) == []
    assert working_alone(lambda path: "reached")(tmp_path / "nowhere") == "reached"


def test_a_run_that_a_killed_call_had_set_aside_is_there(tmp_path: Path) -> None:
    (tmp_path / "replaced").mkdir()
    (tmp_path / "replaced" / "recipe.yaml").write_text("of the run")
    assert working_alone(lambda path: (Path(path) / "recipe.yaml").read_text())(tmp_path) == "of the run"
