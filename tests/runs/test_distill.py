"""A run from recipe to report: what its folder holds, that it continues after an interrupt, what it refuses."""

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from causalkd.alignment.spec import Alignment
from causalkd.models.load import load_model
from causalkd.recipe.recipe import Recipe, shipped_recipes
from causalkd.runs import distill as runs
from causalkd.runs.folder.layout import RunFolder
from causalkd.training.callbacks import read_rows
from causalkd.verification.results.baselines import BASELINES
from causalkd.verification.results.report import VerificationReport
from tests.shrunk import OF_HUB_MODELS, RESUMED, SHRUNK, FinishedRun, finished_run, interrupted, shrunk

STUDENT_KEYS = {"name", "objectives", "seed", "task_metric", "agreement"}
ROW_KEYS = {
    *("student", "baseline", "pair", "component", "unit", "head", "teacher_layer", "student_layer", "aligned"),
    "touched",
    *("reachable", "iia", "iia_low", "iia_high", "iia_effective", "effective_pairs", "pairs", "kl"),
}


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForSequenceClassification.from_pretrained(folder).state_dict()


def _equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_the_recipe_in_the_folder_is_complete(quickstart: FinishedRun) -> None:
    assert Recipe.load(quickstart.folder.recipe) == quickstart.recipe
    text = quickstart.folder.recipe.read_text()
    assert all(f"\n{key}:" in f"\n{text}" for key in Recipe.model_fields)
    assert "gradient_accumulation: 1" in text and "crossway: false" in text  # defaults are written out


def test_the_alignment_in_the_folder(quickstart: FinishedRun) -> None:
    assert Alignment.from_yaml(quickstart.folder.alignment) == quickstart.recipe.alignment
    assert VerificationReport.read(quickstart.folder.report).alignment == quickstart.recipe.alignment


@pytest.mark.parametrize(("student", "steps"), [("teacher", 6), ("kd", 6), ("diito", 4)])
def test_every_term_is_logged_unweighted(quickstart: FinishedRun, student: str, steps: int) -> None:
    rows = [row for row in read_rows(quickstart.folder.metrics) if row["student"] == student]
    logged = {"teacher": 25}.get(student, 2)
    assert [row["step"] for row in rows] == list(range(logged, steps + 1, logged))
    weights = {part.name: part.objectives.chosen() for part in quickstart.recipe.students}.get(student, {})
    for row in rows:
        assert row["seed"] == 0 and row["learning_rate"] > 0
        terms = {key.removeprefix("term/"): value for key, value in row.items() if key.startswith("term/")}
        assert set(terms) == set(weights)
        total = sum(weights[name].weight * value for name, value in terms.items())
        assert row["loss"] == pytest.approx(total, rel=1e-5)
    assert student != "diito" or weights["diito"].weight != 1, "a weight other than one shows that terms are unweighted"


def test_the_report_has_the_keys_it_promises(quickstart: FinishedRun) -> None:
    report = json.loads(quickstart.folder.report.read_text())
    assert set(report) == {
        "schema_version",
        "measured_on",
        *("teacher", "students", "alignment", "interchange", "environment", "differences"),
        *("ground_truth", "mismatches", "off_distribution", "heads", "task_scores", "task_differences"),
    }
    assert [(student["name"], student["seed"]) for student in report["students"]] == [("kd", 0), ("diito", 0)]
    for student, part in zip(report["students"], quickstart.recipe.students, strict=True):
        assert set(student) - {"block_forwards", "seconds", "steps"} == STUDENT_KEYS
        assert student["objectives"] == {name: chosen.weight for name, chosen in part.objectives.chosen().items()}
        assert 0 <= student["task_metric"] <= 1 and 0 <= student["agreement"] <= 1
    for row in report["interchange"]:
        later = {"seed", "iia_effective_low", "iia_effective_high", "p_value", "q_value", "specificity", "student_head"}
        assert set(row) - later == ROW_KEYS
    assert {"versions", "attention", "dtype", "seed"} <= set(report["environment"])
    assert {"torch", "transformers", "python"} <= set(report["environment"]["versions"])


def test_the_report_covers_every_site_of_every_student(quickstart: FinishedRun) -> None:
    rows = VerificationReport.read(quickstart.folder.report).interchange
    baselines = {"measured", *BASELINES} - {"shuffled_alignment", "ceiling"}
    comparisons = {(r.student, r.baseline, r.teacher_layer, r.student_layer) for r in rows}
    grid = {(s, c, i, j) for s in ("kd", "diito") for c in baselines for i in range(4) for j in range(2)}
    assert comparisons == grid | {(s, "ceiling", 1, 0) for s in ("kd", "diito")}
    assert len(rows) == len(comparisons)
    trained = {(r.pair, r.teacher_layer, r.student_layer) for r in rows if r.aligned}
    assert trained == {("middle", 1, 0)}
    assert all(r.pairs == 40 and r.component == "block_output" and r.unit == "pos" for r in rows)
    # The last block's output at the premise reaches no position that the head reads.
    assert {(r.teacher_layer, r.student_layer) for r in rows if not r.reachable} == {
        *((3, layer) for layer in range(2)),
        *((layer, 1) for layer in range(4)),
    }


class _References(HTMLParser):
    """What a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [str(given[name]) for name in ("src", "srcset", "data", "poster") if given.get(name)]
        self.found += [str(given["href"])] if tag in ("link", "use", "image") and given.get("href") else []


def test_the_page_is_self_contained(quickstart: FinishedRun) -> None:
    page = (quickstart.folder.path / "report.html").read_text()
    parser = _References()
    parser.feed(page)
    assert [part for part in parser.found if not part.startswith(("data:", "#"))] == []
    assert "@import" not in page and "url(http" not in page
    assert "diito" in page and "kd" in page


@pytest.mark.parametrize("name", ["kd", "diito"])
def test_students_are_stock_checkpoints(quickstart: FinishedRun, name: str) -> None:
    folder = quickstart.folder.student(quickstart.recipe, name, 0)
    assert folder == quickstart.folder.path / "student" / f"{name}-seed0"
    ours = load_model(folder, task="classification", role="teacher")
    stock = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert _equal(ours.model.state_dict(), stock.state_dict())
    assert stock.config.num_hidden_layers == 2 and stock.config.id2label[0] == "entailment"
    inputs = AutoTokenizer.from_pretrained(folder)("some old dog walks", "no dog runs", return_tensors="pt")
    with torch.no_grad():
        assert torch.equal(stock(**inputs).logits, ours.run(dict(inputs)).logits)
    other = quickstart.folder.student(quickstart.recipe, {"kd": "diito", "diito": "kd"}[name], 0)
    assert not _equal(stock.state_dict(), _weights(other))


def test_nothing_unfinished_stays(quickstart: FinishedRun) -> None:
    assert {entry.name for entry in quickstart.folder.path.iterdir()} == {
        *("recipe.yaml", "alignment.yaml", "metrics.jsonl", "report.json", "report.html", "report.md", "data.json"),
        *("teacher", "student", "costs"),
    }


def test_verifying_again_gives_the_same_report(quickstart: FinishedRun, tmp_path: Path) -> None:
    copied = shutil.copytree(quickstart.folder.path, tmp_path / "moved")
    report = (copied / "report.json").read_text()
    (copied / "report.json").unlink()
    again = runs.verify(copied)
    assert (copied / "report.json").read_text() == report == again.to_json()


# AD-KD's second-order passes are no block-forwards: its recipes compare students at about equal time. The six methods
# of causal LMs are compared at equal steps.
EQUAL_STEPS = (*OF_HUB_MODELS, "planted-lm-methods")
COUNTED = [name for name in shipped_recipes() if name not in EQUAL_STEPS and not name.startswith("adkd-")]


@pytest.mark.parametrize("name", COUNTED)
def test_students_of_a_recipe_cost_the_same(name: str, request: pytest.FixtureRequest) -> None:
    """Block-forwards at the shipped numbers of steps, from what a step of the shrunk run was counted to cost."""
    assert name in SHRUNK, f"say in tests/shrunk.py what makes the recipe {name} small"
    shipped, costs = Recipe.load(name), {}
    folder, recipe, _ = request.getfixturevalue(name.replace("-", "_"))
    students = [pair for pair in zip(shipped.students, recipe.students, strict=True) if pair[0].name != "kd-steps"]
    for part, run in students:  # that one is compared at equal steps
        long, short = shipped.training_of(part), recipe.training_of(run)
        block_forwards, _, steps = folder.read_cost(f"{part.name}-seed{recipe.seeds[0]}")
        assert steps == short.steps and block_forwards and long.steps and short.steps
        rows = short.steps * short.batch_size * short.gradient_accumulation
        costs[part.name] = block_forwards / rows * long.steps * long.batch_size * long.gradient_accumulation
    assert max(costs.values()) <= 1.02 * min(costs.values()), costs


@pytest.fixture(scope="module")
def sst2_minilm(tmp_path_factory: pytest.TempPathFactory, data_folder: Path, minilm: Path) -> FinishedRun:
    """The shrunk recipe on real weights and data."""
    return finished_run("sst2-minilm", tmp_path_factory.mktemp("real"), page=False)


def test_the_recipe_on_real_input(sst2_minilm: FinishedRun) -> None:
    report = VerificationReport.read(sst2_minilm.folder.report)
    assert "SST-2" in sst2_minilm.told and [each.name for each in report.students] == ["kd", "kd-steps", "diito"]
    steps = {part.name: part.training["steps"] for part in Recipe.load("sst2-minilm").students}
    assert steps["kd-steps"] == steps["diito"] < steps["kd"]
    trained = {(row.teacher_layer, row.student_layer) for row in report.interchange if row.aligned}
    assert trained == {(3, 1)}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with dropout whose single student trains over more than an epoch."""
    folder = RunFolder(tmp_path_factory.mktemp("uninterrupted") / "run")
    runs.distill(shrunk("quickstart", folder.path, *RESUMED))
    return folder


def _interrupt(recipe: Recipe, name: str, step: int, after_saving: bool = False) -> RunFolder:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runs, "build_trainer", interrupted(name, step, after_saving))
        runs.distill(recipe)
    folder = RunFolder(recipe.folder)
    assert not folder.report.exists()
    return folder


def test_an_interrupted_run_continues_where_it_was(tmp_path: Path, uninterrupted: RunFolder) -> None:
    recipe = shrunk("quickstart", tmp_path / "run", *RESUMED)
    folder = _interrupt(recipe, "teacher", 3)
    assert not folder.teacher.exists()
    assert folder.last_checkpoint("teacher") == folder.work("teacher") / "checkpoint-2"

    _interrupt(recipe, "only", 5)
    assert folder.teacher.is_dir() and not (folder.path / "student").exists()
    with pytest.raises(ValueError, match=r"is unfinished: .*student is missing; continue it with the same"):
        runs.verify(folder.path)
    with pytest.raises(ValueError, match=r"holds an unfinished run of another recipe.*--overwrite"):
        runs.distill(shrunk("quickstart", tmp_path / "run", *RESUMED, "seeds=[1]"))

    # A checkpoint that an interrupt cut short while it was written is not resumed from.
    whole = folder.last_checkpoint("only-seed0")
    assert whole is not None and whole.name == "checkpoint-4"
    cut = shutil.copytree(whole, whole.with_name("checkpoint-6"))
    (cut / "manifest.json").unlink()

    # After the last step nothing is left to train; transformers' own resume would go one step too far.
    _interrupt(recipe, "only", 8, after_saving=True)
    assert not (folder.path / "student").exists()
    report = runs.distill(recipe)
    for part in ("teacher", "student"):
        assert _equal(_weights(folder.path / part), _weights(uninterrupted.path / part)), part
    assert _without_norms(folder) == _without_norms(uninterrupted)
    assert report.interchange == VerificationReport.read(uninterrupted.report).interchange
    before = VerificationReport.read(uninterrupted.report).students[0]
    assert (report.students[0].block_forwards, report.students[0].steps) == (before.block_forwards, 8)
    assert not (folder.path / "unfinished").exists()


def _without_norms(folder: RunFolder) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "grad_norm"} for row in read_rows(folder.metrics)]


def test_a_single_student_and_a_ready_made_alignment(uninterrupted: RunFolder) -> None:
    assert (uninterrupted.path / "student" / "config.json").is_file()  # in `student` itself
    report, written = VerificationReport.read(uninterrupted.report), Recipe.load(uninterrupted.recipe)
    assert report.alignment == written.alignment == Alignment.from_yaml(uninterrupted.alignment)
    assert report.alignment.name == "middle" and report.alignment.pairs[0].teacher[0].layer == 0
    asked = shrunk("quickstart", uninterrupted.path, *RESUMED)
    assert asked.alignment == "middle" and written.model_copy(update={"alignment": "middle"}) == asked
    assert not (uninterrupted.path / "report.html").exists()  # nobody gave a function that makes a page


def test_a_finished_run_is_kept_unless_overwrite_is_given(uninterrupted: RunFolder, tmp_path: Path) -> None:
    path = shutil.copytree(uninterrupted.path, tmp_path / "run")
    recipe = shrunk("quickstart", path, *RESUMED)
    before = (path / "report.json").stat().st_mtime_ns
    with pytest.raises(ValueError, match=r"holds a finished run; choose another `output`, or overwrite it \(--overwri"):
        runs.distill(recipe)
    assert (path / "report.json").stat().st_mtime_ns == before
    runs.distill(
        shrunk("quickstart", path, *RESUMED, "teacher.training.steps=1", "students.only.training.steps=1"),
        overwrite=True,
    )
    assert (path / "report.json").stat().st_mtime_ns > before
    assert len([row for row in read_rows(path / "metrics.jsonl") if row["student"] == "teacher"]) == 1


def test_a_fault_in_the_new_recipe_leaves_the_old_run(uninterrupted: RunFolder, tmp_path: Path) -> None:
    path = shutil.copytree(uninterrupted.path, tmp_path / "run")
    with pytest.raises(ValueError, match="blocks 0–1"):
        runs.distill(shrunk("quickstart", path, *RESUMED, "students.only.layers=[5]"), overwrite=True)
    assert (path / "report.json").is_file()


@pytest.mark.parametrize("left", ["..worker.json.draft", ".worker.json", ".recipe.yaml.draft", ".data.json.draft"])
def test_what_a_kill_leaves_of_the_very_first_files_is_no_other_process(left: str, tmp_path: Path) -> None:
    """The folder is locked once, although it is empty when the leftovers are gone."""
    (tmp_path / "run").mkdir()
    for name in (left, ".lock"):
        (tmp_path / "run" / name).write_text("")
    runs.distill(shrunk("quickstart", tmp_path / "run", *RESUMED))
    assert RunFolder(tmp_path / "run").report.is_file()


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    recipe = shrunk("quickstart", tmp_path, *RESUMED)
    (tmp_path / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="choose another `output`"):
            runs.distill(recipe, overwrite=overwrite)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_verify_names_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"does not hold a run \(there is no recipe.yaml\); `causalkd distill RECIPE` makes one"
    ):
        runs.verify(tmp_path)
