"""A pipeline: masked-LM distillation, fine-tuning on RTE, WNUT-17 and SQuAD, one table; it continues, and may grow."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.models.configs import make_config
from causalkd.models.load import model_from_config
from causalkd.recipe.pipeline import PipelineRecipe
from causalkd.runs import pipeline as runs
from causalkd.runs.folder.layout import RunFolder
from causalkd.verification.results.finetuning import FinetuneResults
from causalkd.verification.results.pipeline import PipelineResults
from causalkd.verification.results.report import VerificationReport
from tests.data.tiny_tokenizers import bert_like
from tests.official_files import write_official_files

TASKS = ("rte", "wnut17", "squad")
OBJECTIVES = {
    "task": {"weight": 0.25}, "response_kd": {"weight": 0.25}, "hidden_kd": {"weight": 0.25}, "diito": {"weight": 0.25}
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data in the published forms, and a masked-LM teacher of four layers."""
    folder = tmp_path_factory.mktemp("pipeline")
    write_official_files(folder / "data")
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 64}
    config = make_config({"model_type": "bert", "num_hidden_layers": 4, **sizes}, bert_like())
    model_from_config(config, bert_like(), task="masked_lm", role="student").save_pretrained(folder / "teacher")
    return folder


@pytest.fixture(autouse=True)
def data(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUSALKD_DATA", str(place / "data"))


def plain(place: Path, output: Path) -> dict[str, Any]:
    """Two runs of different alignments and depths, a student each, and one baseline of another model."""
    run = {
        "name": "middle",
        "data": {"task": "wikitext_masked_lm", "max_length": 32, "train_limit": 24, "eval_limit": 8},
        "teacher": {"model": str(place / "teacher")},
        "alignment": "middle",
        "students": [{"name": "diito", "layers": [0, 2], "objectives": OBJECTIVES}],
        "training": {"steps": 2, "batch_size": 8, "logging_steps": 1, "freeze": ["*position_embeddings*"]},
        "verification": {"pairs": 8, "components": [], "batch_size": 4},
    }
    late = {**copy.deepcopy(run), "name": "late", "alignment": "late"}
    late["students"] = [{"name": "diito", "layers": [0, 1, 3], "objectives": OBJECTIVES}]
    return {
        "name": "shrunk",
        "output": str(output),
        "distill": [run, late],
        "models": [{"name": "teacher", "model": str(place / "teacher")}],
        "finetune": {
            "data": {"max_length": 32},
            "training": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3},
            "tasks": {"rte": {}, "wnut17": {"training": {"steps": 2}}, "squad": {"data": {"max_length": 24}}},
        },
    }


@pytest.fixture(scope="module")
def finished(place: Path) -> tuple[PipelineRecipe, str]:
    """The pipeline, run through the command line."""
    recipe = PipelineRecipe.parse(plain(place, place / "run"))
    (place / "pipeline.yaml").write_text(recipe.to_yaml())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAUSALKD_DATA", str(place / "data"))
        done = CliRunner().invoke(app, ["pipeline", str(place / "pipeline.yaml")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return recipe, done.output


def test_every_model_has_every_task_in_one_table(finished: tuple[PipelineRecipe, str]) -> None:
    recipe, printed = finished
    found = PipelineResults.read(recipe.folder / "results.json")
    assert [row.name for row in found.rows] == ["teacher", "middle-diito", "late-diito"] and found.tasks == TASKS
    for row in found.rows:
        for task, scores in row.tasks.items():
            own = FinetuneResults.read(recipe.folder / scores.folder / "finetune.json")
            assert (scores.mean, scores.seeds) == (own.mean(own.metric), 1) and own.task == task
        assert row.average() == pytest.approx(sum(scores.mean for scores in row.tasks.values()) / 3)
    assert "stage 1, run 2 of 2: late" in printed and "stage 2, run 9 of 9: late-diito/squad" in printed
    table = (recipe.folder / "results.md").read_text()
    assert all(name in table and name in printed for name in ("middle-diito", "late-diito", *TASKS, "average"))
    assert "answer\\_f1" in table or "answer_f1" in table


def test_the_first_stage_is_verified_and_said_in_the_table(finished: tuple[PipelineRecipe, str]) -> None:
    recipe, _ = finished
    found = PipelineResults.read(recipe.folder / "results.json")
    assert found.stage1_metrics == {"middle": "perplexity", "late": "perplexity"}
    for row in found.rows[1:]:
        report = VerificationReport.read(recipe.folder / "distill" / row.run / "report.json")
        assert row.stage1 == report.students[0].task_metric and report.interchange
    assert found.rows[0].stage1 is None


def test_each_depth_is_fine_tuned_from_its_own_student(finished: tuple[PipelineRecipe, str]) -> None:
    recipe, _ = finished
    for name, layers in (("middle-diito", 2), ("late-diito", 3), ("teacher", 4)):
        for task, head in zip(TASKS, ("Sequence", "Token", "QuestionAnswering"), strict=True):
            folder = recipe.folder / "finetune" / name / task / "model"
            config = json.loads((folder / "config.json").read_text())
            assert config["num_hidden_layers"] == layers and head in config["architectures"][0]


def test_the_pipeline_in_the_folder_is_complete(finished: tuple[PipelineRecipe, str]) -> None:
    recipe, _ = finished
    assert PipelineRecipe.load(recipe.folder / "pipeline.yaml") == recipe


def _counted(patch: pytest.MonkeyPatch, stop: str = "", real: bool = True) -> list[str]:
    """The runs of both stages that are made, or would be, in their order; `stop` is interrupted before it begins."""
    made: list[str] = []

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(recipe: Any, **options: Any) -> Any:
            if recipe.name == stop:
                raise KeyboardInterrupt
            made.append(recipe.name)
            return function(recipe, **options) if real else None

        return counted

    patch.setattr(runs, "distill", counting(runs.distill))
    patch.setattr(runs, "finetune", counting(runs.finetune))
    return made


def test_what_is_done_is_not_done_again(
    finished: tuple[PipelineRecipe, str], place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the folder has moved; a task that is added is all that is trained, and a run that is cut short too."""
    recipe, _ = finished
    shutil.copytree(recipe.folder, tmp_path / "moved")
    shutil.rmtree(tmp_path / "moved" / "finetune" / "late-diito" / "squad")
    given = plain(place, tmp_path / "moved")
    given["finetune"]["tasks"]["again"] = {"data": {"task": "rte"}, "training": {"steps": 1}}
    wanted = PipelineRecipe.parse(given)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        made = _counted(patch, stop="late-diito-squad")
        runs.run_pipeline(wanted)
    assert made == ["teacher-again", "middle-diito-again"]
    made = _counted(monkeypatch)
    found = runs.run_pipeline(wanted)
    assert made == ["late-diito-squad", "late-diito-again"]
    before = PipelineResults.read(recipe.folder / "results.json")
    for row, old in zip(found.rows, before.rows, strict=True):
        for task in TASKS:
            assert row.tasks[task].means == old.tasks[task].means  # squad of late is trained anew, with the same bits


def test_runs_of_other_settings_are_refused_or_replaced(
    finished: tuple[PipelineRecipe, str], place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, _ = finished
    shutil.copytree(recipe.folder, tmp_path / "run")
    given = plain(place, tmp_path / "run")
    given["distill"][1]["training"]["steps"] = 1
    given["finetune"]["tasks"]["rte"] = {"training": {"steps": 1}}
    changed = PipelineRecipe.parse(given)
    with pytest.raises(ValueError, match="late, teacher/rte, middle-diito/rte, late-diito/rte, late-diito/wnut17"):
        runs.run_pipeline(changed)
    made = _counted(monkeypatch, real=False)
    runs.run_pipeline(changed, overwrite=True)
    late = [f"late-diito-{task}" for task in TASKS]
    assert made == ["late", "teacher-rte", "middle-diito-rte", *late]


def test_runs_from_other_files_are_refused(
    finished: tuple[PipelineRecipe, str], place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, _ = finished
    shutil.copytree(recipe.folder, tmp_path / "run")
    same = PipelineRecipe.parse(plain(place, tmp_path / "run"))
    shutil.copytree(place / "data", tmp_path / "data")
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path / "data"))
    (file,) = (path for path in (tmp_path / "data").rglob("*train*") if "RTE" in str(path))
    file.write_text(file.read_text() + "\n")
    with pytest.raises(ValueError, match=r"from other files .*: teacher/rte, middle-diito/rte, late-diito/rte; go"):
        runs.run_pipeline(same)


def test_an_unfinished_run_that_cannot_go_on_is_named_and_replaced(
    finished: tuple[PipelineRecipe, str], place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, _ = finished
    shutil.copytree(recipe.folder, tmp_path / "run")
    (tmp_path / "run" / "distill" / "late" / "report.json").unlink()
    given = plain(place, tmp_path / "run")
    given["distill"][1]["verification"]["pairs"] = 6
    goes_on = PipelineRecipe.parse(given)  # no training depends on it
    assert runs._changed(goes_on, runs._before(goes_on), []) == []
    tuned = tmp_path / "run" / "finetune" / "teacher" / "rte"
    scores, as_made = (tuned / "finetune.json").read_text(), (tuned / "data.json").read_text()
    (tuned / "finetune.json").unlink()
    (tuned / "data.json").write_text(as_made.replace('"data.task": "', '"data.task": "other'))
    assert runs._changed(goes_on, runs._before(goes_on), []) == ["teacher/rte"]
    (tuned / "data.json").write_text(as_made)
    (tuned / "finetune.json").write_text(scores)
    given["distill"][1]["training"]["learning_rate"] = 1e-2
    changed = PipelineRecipe.parse(given)
    with pytest.raises(ValueError, match=r"settings than the pipeline has now: late, late-diito/rte.*--overwrite"):
        runs.run_pipeline(changed)
    made = _counted(monkeypatch, stop=f"late-diito-{TASKS[-1]}", real=False)
    with pytest.raises(KeyboardInterrupt):
        runs.run_pipeline(changed, overwrite=True)
    assert made == ["late", *(f"late-diito-{task}" for task in TASKS[:-1])]


@pytest.mark.parametrize("stop", ["late", "late-diito-rte"])
def test_what_was_to_be_replaced_is_replaced_after_a_kill(
    finished: tuple[PipelineRecipe, str], place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    """The folder then names the new settings, and still holds runs of the old ones, which look finished."""
    recipe, _ = finished
    shutil.copytree(recipe.folder, tmp_path / "run")
    given = plain(place, tmp_path / "run")
    for run in given["distill"]:
        run["training"]["learning_rate"] = 1e-2
    changed, students = PipelineRecipe.parse(given), ("middle-diito", "late-diito")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        before = _counted(patch, stop=stop)
        runs.run_pipeline(changed, overwrite=True)
    with monkeypatch.context() as patch:
        after = _counted(patch)
        found = runs.run_pipeline(changed)
    assert [*before, *after] == ["middle", "late", *(f"{student}-{task}" for student in students for task in TASKS)]
    assert not (changed.folder / "outdated.json").exists()
    old = PipelineResults.read(recipe.folder / "results.json")
    for row, earlier in zip(found.rows, old.rows, strict=True):
        assert (row.stage1 == earlier.stage1) == (row.run is None)
    made = _counted(monkeypatch)
    assert runs.run_pipeline(changed) == found and not made


def test_faults_of_both_stages_are_told_before_anything_is_trained(place: Path, tmp_path: Path) -> None:
    given = plain(place, tmp_path / "run")
    given["distill"][0]["training"]["freeze"] = ["*wpe*"]
    given["finetune"]["tasks"]["rte"] = {"training": {"batch_size": 64}}
    given["finetune"]["tasks"]["squad"] = {"data": {"max_length": 100}}
    with pytest.raises(ValueError) as error:
        runs.run_pipeline(PipelineRecipe.parse(given))
    told = str(error.value)
    assert "distill, run 'middle': student 'diito': training.freeze" in told
    assert "finetune, task 'rte', model 'teacher': batch_size is 64" in told
    assert "finetune, task 'squad', model 'middle-diito'" in told  # tried with the teacher of the run `late`
    assert not (tmp_path / "run").exists()


def test_a_folder_with_something_else_is_refused(place: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("")
    with pytest.raises(ValueError, match="holds something that is not a pipeline"):
        runs.run_pipeline(PipelineRecipe.parse(plain(place, tmp_path / "run")))
    assert not RunFolder(tmp_path / "run" / "distill").path.exists()
