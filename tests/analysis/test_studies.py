"""The files of `analysis/studies` can be used; the larger ones run, shrunk, to a table."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from causalkd.cli import app
from causalkd.models.configs import make_config
from causalkd.models.load import model_from_config
from causalkd.recipe.pipeline import PipelineRecipe
from causalkd.recipe.study import Study
from causalkd.runs.pipeline import run_pipeline
from tests.data.tiny_tokenizers import bert_like
from tests.official_files import write_official_files

STUDIES = Path(__file__).parents[2] / "analysis" / "studies"
CONTENTS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(STUDIES.glob("*.yaml"))}
SIZES = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 64}
CONFIG = {"model_type": "bert", "num_hidden_layers": 6, **SIZES}
TASKS = ("rte", "mrpc", "stsb", "cola")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tiny data in the published forms, and a tokenizer for them."""
    monkeypatch.setenv("CAUSALKD_DATA", str(write_official_files(tmp_path / "data")))
    bert_like().save_pretrained(tmp_path / "tokenizer")
    return tmp_path


@pytest.mark.parametrize("name", [name for name, content in CONTENTS.items() if "recipe" in content])
def test_every_study_has_cells(name: str) -> None:
    study = Study.load(STUDIES / f"{name}.yaml")
    assert study.name == name and study.cells()


@pytest.mark.parametrize("task", TASKS)
def test_ad_kd_is_compared_at_equal_epochs_and_at_equal_compute(task: str) -> None:
    epochs, compute = Study.load(STUDIES / "adkd-epochs.yaml"), Study.load(STUDIES / f"adkd-compute-{task}.yaml")
    assert compute.variants == {task: epochs.variants[task]} and list(epochs.variants) == list(TASKS)
    assert (compute.recipe, compute.choose, compute.power) == (epochs.recipe, epochs.choose, epochs.power)
    assert epochs.seeds == compute.seeds == (0, 1, 2, 3, 4)
    assert epochs.budget is not None and compute.budget is not None
    assert (epochs.budget.unit, compute.budget.unit) == ("epochs", "operations")


@pytest.mark.parametrize("name", ["adkd-epochs", pytest.param("adkd-compute-stsb", marks=pytest.mark.slow)])
def test_a_shrunk_study_of_ad_kd_has_a_table(data: Path, name: str) -> None:
    content = {
        **CONTENTS[name],
        "recipe": str(STUDIES / "adkd-recipe.yaml"),
        "seeds": [0, 1],
        "output": str(data / "out"),
    }
    content["variants"] = {
        "stsb": {
            **CONTENTS[name]["variants"]["stsb"],
            **{"teacher.model": None, "teacher.config": CONFIG, "data.tokenizer": str(data / "tokenizer")},
            **{"teacher.training.epochs": None, "teacher.training.steps": 1, "teacher.training.batch_size": 8},
            **{"data.train_limit": 40, "data.eval_limit": 8, "data.max_length": 16, "training.batch_size": 8},
            **{"verification.pairs": 8, "verification.batch_size": 4, "training.logging_steps": 1},
        }
    }
    choice = {"fields": {"training.learning_rate": [5.0e-5]}, "share": 0.2, "budget": {"steps": 1}}
    content["choose"] = {**content["choose"], **choice}
    content["budget"] = {"epochs": 1} if "epochs" in content["budget"] else {"operations": 4e7}
    (data / "study.yaml").write_text(yaml.safe_dump(content))
    told = CliRunner().invoke(app, ["study", str(data / "study.yaml")], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    assert "## Settings chosen" in told.stdout and "## Smallest differences that can be shown" in told.stdout
    assert "Cells without a result" not in told.stdout
    assert all(f"| stsb/{method} | 2 |" in told.stdout for method in ("fine-tuning", "kd", "adkd", "adkd-diito"))


def test_the_students_of_the_masked_lm_study_are_fine_tuned_alike(data: Path) -> None:
    study, pipeline = Study.load(STUDIES / "mlm.yaml"), PipelineRecipe.load(STUDIES / "mlm-glue.yaml")
    (run,) = pipeline.runs()
    cell = study.cells()[0].recipe
    assert (run.students[0].objectives, run.teacher, run.data) == (cell.students[0].objectives, cell.teacher, cell.data)
    assert run.seeds == study.seeds and study.budget is not None
    assert {run.training_of(part).model_dump_json() for part in run.students} == {
        cell.training_of(part).model_dump_json() for part in cell.students
    }
    assert tuple(pipeline.finetune.tasks) == TASKS
    model_from_config(make_config(CONFIG, bert_like()), bert_like(), task="masked_lm", role="student").save_pretrained(
        data / "start"
    )
    changes = [
        *(f"distill.mlm.teacher.{key}" for key in (f"model={data / 'start'}", "training.steps=1")),
        *(f"distill.mlm.{key}" for key in ("seeds=[0]", "training.steps=1", "data.train_limit=24")),
        *("distill.mlm.verification.pairs=8", "distill.mlm.verification.batch_size=4", f"output={data / 'out'}"),
        *("finetune.training.epochs=null", "finetune.training.steps=1", "finetune.training.batch_size=8"),
    ]
    for task in TASKS:
        changes.append(f"finetune.tasks.{task}.data.max_length=32")
    found = run_pipeline(PipelineRecipe.load(STUDIES / "mlm-glue.yaml", changes))
    assert [model.name for model in found.rows] == ["mlm-kd", "mlm-diito"]
    assert all(len(model.tasks) == 4 for model in found.rows)
