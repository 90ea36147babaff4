"""The command line: what each command prints and writes, and how it ends."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from causalkd import cli
from causalkd.alignment.spec import Alignment
from causalkd.cli import app
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.pipeline import PipelineRecipe
from causalkd.recipe.recipe import Recipe, shipped_pipelines, shipped_recipes
from causalkd.reporting.attribution_tables import as_markdown
from causalkd.reporting.terminal import as_text
from causalkd.runs import distill as runs
from causalkd.runs.setup.interruption import Stopped
from causalkd.task_types import Task
from causalkd.verification.results.report import VerificationReport
from tests.shrunk import FinishedRun
from tests.tiny import ARCHITECTURES, TASKS_OF, tiny


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def _refusal(*arguments: str | Path) -> str:
    """The one message of a command that refuses."""
    done = _run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "") and "Traceback" not in done.stderr
    assert done.stderr.startswith("causalkd: ") and done.stderr.count("causalkd: ") == 1
    return done.stderr.removeprefix("causalkd: ").strip()


@pytest.fixture
def copied(quickstart: FinishedRun, tmp_path: Path) -> Path:
    """A copy of the shrunk quickstart's folder that a test may change."""
    return shutil.copytree(quickstart.folder.path, tmp_path / "run")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny checkpoints without tokenizers, `<architecture>-<layers>`."""
    base = tmp_path_factory.mktemp("saved")
    for architecture in ARCHITECTURES:
        tasks: Sequence[Task] = TASKS_OF[architecture]
        for layers, task in ((4, tasks[0]), (2, "classification")):
            tiny(architecture, task, layers=layers).save_pretrained(base / f"{architecture}-{layers}")
    return base


def test_distill_prints_the_data_the_table_and_the_files(quickstart: FinishedRun) -> None:
    report = VerificationReport.read(quickstart.folder.report)
    assert "96 examples of the planted task, train frames" in quickstart.told
    assert "24 examples of the planted task, heldout frames" in quickstart.told
    assert as_text(report) in quickstart.told
    assert f"{quickstart.folder.path / 'report.json'}\n{quickstart.folder.path / 'report.html'}" in quickstart.told
    assert "Traceback" not in quickstart.told and "Warning" not in quickstart.told


def test_a_run_that_is_written_to_a_file_is_short(quickstart: FinishedRun) -> None:
    lines = quickstart.told.splitlines()
    assert len(lines) < 60 and "\r" not in quickstart.told
    for number, (model, steps) in enumerate((("teacher", 6), ("student kd", 6), ("student diito", 4)), start=1):
        (line,) = (line for line in lines if line.startswith(f"{model}, seed 0: {number} of 3, step "))
        assert f", step {steps} of {steps}, " in line and line.endswith(" left for the run")
        assert (", loss " in line) == (model != "teacher"), "which has fewer steps than one log takes"


def test_distill_keeps_a_finished_run(quickstart: FinishedRun) -> None:
    changes = ("--set", f"output={quickstart.folder.path}")
    message = _refusal("distill", "quickstart", *changes)
    assert message == (
        f"{quickstart.folder.path} holds a finished run; choose another `output`, or overwrite it (--overwrite)"
    )


def test_distill_names_the_nearest_recipe_and_key() -> None:
    assert "did you mean quickstart?" in _refusal("distill", "quikstart")
    assert "training.stepz: unknown key; did you mean steps?" in _refusal(
        "distill", "quickstart", "--set", "training.stepz=1"
    )
    assert "has no value" in _refusal("distill", "quickstart", "--set", "training.steps")


def test_verify_gives_the_numbers_of_distill(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        cli, "_page", lambda: lambda report, rows, maps: f"{len(report.students)} students"
    )  # a quick one
    before = (copied / "report.json").read_text()
    for name in ("report.json", "report.html"):
        (copied / name).unlink()
    done = _run("verify", copied)
    assert done.exit_code == 0 and (copied / "report.json").read_text() == before
    assert as_text(VerificationReport.read(copied / "report.json")) in done.stdout
    assert (copied / "report.html").read_text() == "2 students"


def test_verify_refuses_what_is_no_finished_run(copied: Path, tmp_path: Path) -> None:
    assert "does not hold a run (there is no recipe.yaml); `causalkd distill RECIPE` makes one" in _refusal(
        "verify", tmp_path
    )
    shutil.rmtree(copied / "student" / "diito-seed0")
    message = _refusal("verify", copied)
    assert "is unfinished" in message and "diito-seed0 is missing; delete " in message


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (OSError(28, "No space left on device", "runs/x"), 3, "runs/x: No space left on device; make room on the disk"),
        (MemoryError(), 3, "there is not enough memory; make `training.batch_size`"),
        (KeyboardInterrupt(), 130, "stopped by SIGINT; call the same command again"),
        (Stopped(15), 143, "stopped by SIGTERM; call the same command again"),
    ],
)
def test_faults_of_the_machine_and_signals_get_a_paragraph(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, told: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(runs, "distill", fail)
    done = _run("distill", "quickstart")
    assert done.exit_code == code and done.stdout == ""
    assert done.stderr.startswith(f"causalkd: {told}") and len(done.stderr.splitlines()) == 1


def test_a_full_standard_output_is_reported() -> None:
    """In a process of its own, whose end writes what is left in the buffers."""
    command = [sys.executable, "-m", "causalkd", "schema"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3 and done.stderr.startswith("causalkd: No space left on device; make room")
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_a_report_that_standard_output_cannot_take_is_reported(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "_page", lambda: lambda *_: "")
    monkeypatch.setattr(sys, "argv", ["causalkd", "report", str(copied)])
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit, match="3"):
            cli.main()
    assert capsys.readouterr().err.startswith("causalkd: No space left on device; make room")


def test_attribute_adds_maps_that_the_report_keeps(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_page", lambda: lambda report, rows, maps: ", ".join(sorted(maps)))
    sizes = ("--limit", "3", "--steps", "1", "--portions", "1", "--baseline", "zero")
    done = _run("attribute", copied, *sizes)
    assert done.exit_code == 0 and "maps of an untrained student" in done.stderr
    assert (copied / "report.html").read_text() == "diito-seed0, kd-seed0, teacher"
    report = VerificationReport.read(copied / "report.json")
    assert as_text(report) in done.stdout and as_markdown(report) in done.stdout
    found = report.attribution
    assert found is not None and (found.settings.texts, found.settings.baseline) == (3, "zero")
    refused = _run("attribute", copied, "--steps", "0")
    assert refused.exit_code == 2 and "'--steps'" in refused.stderr


def test_report_prints_the_report_and_draws_its_page_again(copied: Path) -> None:
    page, numbers = (copied / "report.html").read_text(), (copied / "report.json").read_text()
    (copied / "report.html").write_text("old")
    done = _run("report", copied)
    assert done.exit_code == 0 and as_text(VerificationReport.read(copied / "report.json")) in done.stdout
    assert (copied / "report.html").read_text() == page and (copied / "report.json").read_text() == numbers


def test_report_of_several_runs_compares_them(copied: Path, quickstart: FinishedRun) -> None:
    page = (copied / "report.html").read_text()
    done = _run("report", copied, quickstart.folder.path)
    assert done.exit_code == 0 and (copied / "report.html").read_text() == page
    *_, first, second, third, fourth, few = done.stdout.splitlines()
    assert [line.split()[1] for line in (first, second, third, fourth)] == ["kd", "diito", "kd", "diito"]
    assert str(copied) in first and "with fewer than 30 effective pairs are left out" in few


def test_report_without_a_report(copied: Path) -> None:
    (copied / "report.json").unlink()
    assert "there is no report at" in _refusal("report", copied)
    (copied / "report.json").write_text("{}")
    assert "has schema_version 1, and this causalkd reads version 4" in _refusal("report", copied)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_check_prints_where_an_alignment_lies(saved: Path, architecture: str) -> None:
    """The command works for any architecture and whatever heads the two checkpoints have."""
    models = ("--teacher", saved / f"{architecture}-4", "--student", saved / f"{architecture}-2")
    done = _run("check", "middle", *models)
    assert done.exit_code == 0, done.output
    assert "blocks.2.hook_out" in done.stdout and "blocks.0.hook_out" in done.stdout
    assert "consecutive, fraction 0.3" in done.stdout


def test_check_reads_a_file_and_lists_every_fault(saved: Path, tmp_path: Path) -> None:
    models = ("--teacher", saved / "bert-4", "--student", saved / "gpt2-2")
    path = tmp_path / "mine.yaml"
    sites = "{name: %s, teacher: [{layer: %d}], student: [{layer: %d, component: mlp_output}]}"
    path.write_text(f"name: mine\npositions: {{policy: all}}\npairs: [{sites % ('a', 1, 1)}, {sites % ('b', 3, 0)}]\n")
    done = _run("check", path, *models, "--task", "classification")
    assert done.exit_code == 0 and done.stdout.count("blocks.") >= 4 and "transformer.h.1.mlp.c_proj" in done.stdout
    path.write_text(f"name: mine\npositions: {{policy: all}}\npairs: [{sites % ('a', 7, 1)}, {sites % ('b', 3, 8)}]\n")
    message = _refusal("check", path, *models)
    assert "pairs[0].teacher[0]: block_output of layer 7 does not exist" in message
    assert "pairs[1].student[0]: mlp_output of layer 8 does not exist" in message


def test_check_names_what_is_wrong_with_its_arguments(saved: Path, tmp_path: Path) -> None:
    models = ("--teacher", saved / "bert-4", "--student", saved / "bert-2")
    assert "alignment 'midle' is neither a preset nor a file" in _refusal("check", "midle", *models)
    assert "no checkpoint" in _refusal("check", "middle", "--teacher", tmp_path, "--student", saved / "bert-2")
    assert "did you mean classification?" in _refusal("check", "middle", *models, "--task", "clasification")
    gpt2 = ("--teacher", saved / "gpt2-4", "--student", saved / "gpt2-2")
    message = _refusal("check", "middle", *gpt2, "--task", "masked_lm")
    assert "is a gpt2, for which transformers has no masked_lm head, only causal_lm, classification" in message
    (tmp_path / "bad.yaml").write_text("name: x\npositions: {policy: al}\npairs: []\n")
    assert "did you mean all?" in _refusal("check", tmp_path / "bad.yaml", *models)


def test_recipes_are_named() -> None:
    assert _run("recipes").stdout.split() == [*shipped_recipes(), *shipped_pipelines()]


def test_the_schema_is_that_of_recipes() -> None:
    schema = json.loads(_run("schema").stdout)
    assert schema == Recipe.model_json_schema()
    assert {"Alignment", "PositionPolicy", "DIITOPart"} <= set(schema["$defs"]) and Alignment.__name__ in schema[
        "$defs"
    ]


@pytest.mark.parametrize(("kind", "recipe"), [("finetune", FinetuneRecipe), ("pipeline", PipelineRecipe)])
def test_each_kind_of_recipe_has_a_schema(kind: str, recipe: type) -> None:
    assert json.loads(_run("schema", kind).stdout) == recipe.model_json_schema()


def test_help_names_every_command() -> None:
    listing = _run("--help").stdout
    assert all(
        command in listing for command in ("distill", "verify", "attribute", "report", "check", "recipes", "schema")
    )


def test_a_process_of_its_own_starts_without_the_heavy_libraries() -> None:
    program = (
        "import sys; from causalkd.cli import app; app(standalone_mode=False); print({'torch'} & set(sys.modules))"
    )
    command = [sys.executable, "-W", "error", "-c", program, "--help"]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=True)
    assert "distill" in done.stdout and done.stdout.splitlines()[-1] == "set()" and done.stderr == ""


@pytest.mark.parametrize("command", ["search", "report"])
def test_what_one_process_does_is_left_to_the_first(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    done = CliRunner().invoke(app, [command, "nowhere"])
    assert (done.exit_code, done.output) == (0, "")
    monkeypatch.setenv("RANK", "0")
    assert CliRunner().invoke(app, [command, "nowhere"]).exit_code == 2


def test_data_shows_what_is_in_a_file_and_the_block_for_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\nthe fox,good\na dog,bad\n")
    done = _run("data", path)
    assert done.exit_code == 0 and "2 rows; splits: train" in done.stdout and f"path: {path}" in done.stdout
    assert "did you mean classification?" in _refusal("data", path, "--kind", "clasification")
    assert "neither a file, a folder or a pattern here" in _refusal("data", "nobody/nothing")
