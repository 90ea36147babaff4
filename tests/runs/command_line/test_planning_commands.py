"""`causalkd plan` and `causalkd precompute`, as a user calls them."""

from pathlib import Path

from typer.testing import CliRunner

from causalkd.cli import app
from tests.data.tiny_tokenizers import gpt2_like
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


def test_lengths_are_counted_with_a_tokenizer_that_no_model_lies_beside(tmp_path: Path) -> None:
    gpt2_like().save_pretrained(tmp_path / "tokenizer")
    (tmp_path / "mine.csv").write_text("text,label\n" + "the fox,a\nthe dog,b\n" * 3)
    done = CliRunner().invoke(app, ["data", str(tmp_path / "mine.csv"), "--tokenizer", str(tmp_path / "tokenizer")])
    assert done.exit_code == 0 and "length in tokens: " in done.stdout
