"""The recipe of a pipeline: the recipes it is made of, the fine-tunings that follow, and every fault of both."""

from pathlib import Path
from typing import Any

import pytest

from causalkd.files.strict_yaml import dump_text
from causalkd.recipe.pipeline import PipelineRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.runs.setup.without_effect import without_effect_in_tasks

TUNING = {"tasks": {"rte": {}, "again": {"data": {"task": "rte"}}}, "training": {"epochs": 3, "learning_rate": 1e-5}}


def plain(**changes: Any) -> dict[str, Any]:
    run = {**Recipe.load("quickstart").model_dump(mode="json"), "seeds": [0]}
    return {"name": "both", "distill": [run, {**run, "name": "other", "seeds": [0, 1]}], "finetune": TUNING, **changes}


def test_every_student_and_seed_is_fine_tuned_on_every_task() -> None:
    pipeline = PipelineRecipe.parse(plain(models=[{"name": "minilm", "model": "minilm-l6"}]))
    names = [subject.name for subject in pipeline.subjects()]
    assert (
        names
        == [
            *("minilm", "quickstart-kd", "quickstart-diito"),
            *("other-kd-seed0", "other-kd-seed1", "other-diito-seed0", "other-diito-seed1"),
        ]
        or len(Recipe.load("quickstart").seeds) > 1
    )
    subject = list(pipeline.subjects())[-1]
    assert subject.model == "runs/both/distill/other/student/diito-seed1"
    tuned = pipeline.finetuning(subject, "again")
    assert (tuned.model, tuned.data.task, tuned.training.epochs) == (subject.model, "rte", 3)
    assert tuned.folder == Path("runs/both/finetune/other-diito-seed1/again")


def test_a_task_has_keys_of_its_own() -> None:
    tuning = {**TUNING, "data": {"max_length": 64}, "tasks": {"rte": {"training": {"steps": 5}, "data": {"group": 4}}}}
    pipeline = PipelineRecipe.parse(plain(finetune=tuning))
    tuned = pipeline.finetuning(next(pipeline.subjects()), "rte")
    assert (tuned.training.steps, tuned.training.epochs, tuned.training.learning_rate) == (5, None, 1e-5)
    assert (tuned.data.task, tuned.data.max_length, tuned.data.group) == ("rte", 64, 4)


def test_runs_are_named_written_or_extended_and_files_lie_beside(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("extends: quickstart\nname: own\n")
    text = "name: both\ndistill: [quickstart, own.yaml, {extends: own.yaml, name: third}]\n"
    text += "finetune: {tasks: {rte: {}}, training: {epochs: 1}}\n"
    (tmp_path / "pipeline.yaml").write_text(text)
    pipeline = PipelineRecipe.load(tmp_path / "pipeline.yaml", ["distill.own.training.learning_rate=0.5"])
    assert [run.name for run in pipeline.distill] == ["quickstart", "own", "third"]
    assert [run.training.learning_rate == 0.5 for run in pipeline.distill] == [False, True, False]
    assert {str(run.folder) for run in pipeline.runs()} == {
        f"runs/both/distill/{name}" for name in ("quickstart", "own", "third")
    }


def test_it_loads_to_an_equal_one_when_written_out() -> None:
    pipeline = PipelineRecipe.parse(plain())
    assert PipelineRecipe.load(pipeline.to_yaml()) == pipeline


def test_every_fault_of_every_part_is_told() -> None:
    broken = {**Recipe.load("quickstart").model_dump(mode="json"), "name": "broken", "teacher": {}}
    with pytest.raises(ValueError) as error:
        PipelineRecipe.parse(plain(distill=[broken, {"name": "empty"}]))
    assert "distill[0]" in str(error.value) and "give either `model` or `config`" in str(error.value)
    assert "distill[1]" in str(error.value)
    tuning = {**TUNING, "tasks": {"rte": {"data": {"taks": "rte"}}, "cola": {"training": {"step": 1}}}}
    with pytest.raises(ValueError) as error:
        PipelineRecipe.parse(plain(finetune=tuning))
    assert "finetune.tasks.rte" in str(error.value) and "finetune.tasks.cola" in str(error.value)


@pytest.mark.parametrize("changes", [
    {"models": [{"name": "a", "model": "x"}, {"name": "a", "model": "y"}]},
    {"models": [{"name": "other-kd-seed0", "model": "x"}]},
])  # fmt: skip
def test_names_in_the_table_are_distinct(changes: dict) -> None:
    with pytest.raises(ValueError, match="named twice"):
        PipelineRecipe.parse(plain(**changes))


OWN = {"rte": {"training": {"steps": 5, "learning_rate": 1e-4}, "data": {"max_length": 16}}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "finetune.training.learning_rate=0.5",
            r"finetune.training.learning_rate .* \(rte learning_rate: 0.0001\); give",
        ),
        ("finetune.training.epochs=7", r"give finetune.tasks.TASK.training.epochs .*, with .*TASK.training.steps null"),
        ("finetune.training={learning_rate: 0.5}", "finetune.training.learning_rate would have no effect: every task"),
        ("finetune.data.max_length=9", "finetune.data.max_length would have no effect: every task sets its own"),
        (
            "distill.0.training.steps=50",
            r"distill.quickstart.training.steps .* give distill.quickstart.students.\*.trai",
        ),
        ("distill.other.training={steps: 50}", "distill.other.training.steps would have no effect: every student sets"),
        (
            "distill.*.training.steps=50",
            r"quickstart.training.steps[^$]*\n- distill.other.training.steps would have no",
        ),
    ],
)
def test_a_change_that_every_student_or_task_undoes_is_refused(change: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "both.yaml").write_text(dump_text(plain(finetune={**TUNING, "tasks": OWN})))
    with pytest.raises(ValueError, match=said):
        PipelineRecipe.load(tmp_path / "both.yaml", [change])


def test_a_change_that_some_task_inherits_is_made() -> None:
    text = dump_text(plain(finetune={**TUNING, "tasks": {**OWN, "cola": {}}}))
    changes = [
        "finetune.training.learning_rate=0.5",
        "finetune.tasks.rte.training.steps=6",
        "distill.0.training.steps=null",
    ]
    pipeline = PipelineRecipe.load(text, changes)
    tuned = [pipeline.finetuning(next(pipeline.subjects()), task).training for task in ("rte", "cola")]
    assert [(each.steps, each.learning_rate) for each in tuned] == [(6, 1e-4), (None, 0.5)]


def test_a_key_of_the_file_that_every_task_undoes_is_told() -> None:
    lines = without_effect_in_tasks(PipelineRecipe.parse(plain(finetune={**TUNING, "tasks": OWN})))
    assert lines == [
        "finetune.training.epochs is 3 and has no effect: every task sets it",
        "finetune.training.learning_rate is 1e-05 and has no effect: every task sets it",
    ]
