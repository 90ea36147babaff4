from typer.testing import CliRunner

from causalkd.cli import app
from tests.shrunk import FinishedRun


def _run(*arguments: str):
    return CliRunner().invoke(app, ["push", *arguments], catch_exceptions=False)


def test_what_would_be_sent_is_listed(quickstart: FinishedRun):
    done = _run(str(quickstart.folder.path), "me/student", "--student", "diito", "--dry-run")
    assert done.exit_code == 0 and "model.safetensors" in done.stdout and "report.html" in done.stdout


def test_a_refusal_ends_with_its_message(quickstart: FinishedRun):
    done = _run(str(quickstart.folder.path), "me/student", "--dry-run")
    assert done.exit_code == 2 and done.stderr.startswith("causalkd: the run has the students kd, diito; name one")


def test_only_the_first_process_sends(quickstart: FinishedRun, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    done = _run(str(quickstart.folder.path), "me/student", "--student", "diito", "--dry-run")
    assert (done.exit_code, done.output) == (0, "")
