import pytest
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.runs.command_line.evaluate_options import check_options


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--task mrpc --texts sst2 --shots 3", "--texts, --shots apply to the causal LMs of a run, not to --task"),
        ("--task mrpc --max-tokens 64", "--max-tokens apply to the causal LMs of a run"),
        ("--split test", "--split belong to a task; name it with --task"),
        ("--out x --max-length 5", "--max-length, --out belong to a task"),
        ("--task mrpc --submission --limit 5", "--limit do not go with --submission"),
        ("--texts sst2 --chat-template", "--chat-template belong to a task of the harness; name it with --harness"),
    ],
)
def test_an_option_without_effect_is_refused(given: str, said: str) -> None:
    found = CliRunner().invoke(app, ["evaluate", "nothing", *given.split()])
    assert found.exit_code == 2 and f"causalkd: {said}" in found.stderr


@pytest.mark.parametrize(
    "given",
    [("task", "split", "limit", "max_length", "out"), ("task", "submission", "out"), ("harness", "shots", "limit")],
)
def test_options_that_go_together_pass(given: tuple[str, ...]) -> None:
    check_options(set(given))
