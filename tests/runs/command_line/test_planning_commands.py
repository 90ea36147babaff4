"""`causalkd plan` and `causalkd precompute`, as a user calls them."""

from pathlib import Path

from typer.testing import CliRunner

from causalkd.cli import app
from tests.shrunk import SHRUNK


def _call(command: str, *arguments: str) -> tuple[int, str, str]:
    changes = [part for change in SHRUNK["quickstart"] for part in ("--set", change)]
    done = CliRunner().invoke(app, [command, "quickstart", *changes, *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_a_plan_is_printed() -> None:
    code, told, _ = _call("plan", "--speed", "1e12")
    assert code == 0 and "verification" in told and "1 TFLOP/s" in told


def test_faults_are_told_without_a_traceback(tmp_path: Path) -> None:
    code, _, told = _call("precompute", "--out", str(tmp_path / "outputs"))
    assert code == 2 and "causalkd: a teacher's outputs cannot be precomputed: the teacher is to be trained" in told
    code, _, told = _call("plan", "--set", "training.stps=3")
    assert code == 2 and "did you mean steps?" in told
