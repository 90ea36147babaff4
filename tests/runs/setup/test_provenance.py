"""Data that were replaced are noticed, between an interrupt and its continuation and before a verification."""

import dataclasses
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from causalkd.files import digests
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.runs import distill as runs
from causalkd.runs import trained_run
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.setup.data import Data, build_data
from causalkd.runs.setup.preflight import preflight
from causalkd.runs.setup.provenance import (
    changed_inputs,
    checkpoints_of,
    identity,
    with_present_paths,
    write_identity,
)
from causalkd.runs.setup.source_files import source_digests
from tests.shrunk import RESUMED, FinishedRun, interrupted, planted_model, shrunk


def _replaced(data: Data, split: str) -> Data:
    """The data with one label of a split changed."""
    examples = getattr(data, split)
    first = {**examples.examples[0], "label": (examples.examples[0]["label"] + 1) % 3}
    return replace(data, **{split: replace(examples, examples=[first, *examples.examples[1:]])})


def test_one_label_makes_other_data(tmp_path: Path) -> None:
    recipe, folder = shrunk("quickstart", tmp_path), RunFolder(tmp_path)
    data = build_data(recipe.data, recipe.teacher)
    assert changed_inputs(folder, data, {}) == {}
    write_identity(folder, recipe, data, 1)
    assert changed_inputs(folder, data, {}) == {} and identity(data)["train"]["rows"] == 96
    rows = [{**row, "may_lack": False, "alone": {"words": []}} for row in data.train.examples]
    noted = replace(data, train=replace(data.train, examples=rows))
    assert changed_inputs(folder, noted, {}) == {}, "what earlier versions did not keep beside the same data"
    told = changed_inputs(folder, _replaced(data, "train"), {})
    assert list(told) == ["train"] and "train: the run was made with 96 rows of the planted task" in told["train"]
    folder.data.write_text(json.dumps({"train": {}}))
    with pytest.raises(ValueError, match=r"data.json cannot be read: KeyError.*put it back"):
        changed_inputs(folder, data, {})


def test_an_interrupted_run_does_not_continue_on_other_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = shrunk("quickstart", tmp_path / "run", *RESUMED)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runs, "build_trainer", interrupted("teacher", 3))
        runs.distill(recipe)

    def other(recipe: Any) -> Any:
        prepared, alignment = preflight(recipe)
        return dataclasses.replace(prepared, data=_replaced(prepared.data, "train")), alignment

    monkeypatch.setattr(runs, "preflight", other)
    with pytest.raises(
        ValueError, match=r"or of other data, checkpoints or processes: train: the run was made with 40 rows"
    ):
        runs.distill(recipe)


def test_verify_takes_other_data_only_on_purpose(
    quickstart: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, told = shutil.copytree(quickstart.folder.path, tmp_path / "run"), []
    monkeypatch.setattr(trained_run, "build_data", lambda *given: _replaced(build_data(*given), "heldout"))
    with pytest.raises(ValueError, match=r"has changed. heldout: .*24 rows.*--accept-changed-data"):
        runs.verify(path)
    monkeypatch.setattr(runs, "verified", lambda *_: quickstart_report)
    quickstart_report = runs.VerificationReport.read(quickstart.folder.report)
    runs.verify(path, accept_changed_data=True, tell=told.append)
    assert len(told) == 1 and told[0].startswith("not as the run was made: heldout: the run was made with 24 rows")


def _edit(file: Path, old: str, new: str) -> None:
    """Puts another text into a file that holds the old one."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("recipe.yaml", "learning_rate: 0.002", "learning_rate: 0.2", r"training.learning_rate was 0.002, is 0.2"),
        ("alignment.yaml", "[premise_quantifier, ", "[", "alignment.yaml: the run was made with another alignment"),
    ],
)
def test_settings_that_were_changed_after_the_training_are_noticed(
    quickstart: FinishedRun, tmp_path: Path, file: str, old: str, new: str, told: str
) -> None:
    path, lines = shutil.copytree(quickstart.folder.path, tmp_path / "run"), []
    _edit(path / file, old, new)
    with pytest.raises(ValueError, match=f"has changed. .*{told}.*--accept-changed-data"):
        runs.verify(path)
    runs.verify(path, accept_changed_data=True, tell=lines.append)
    assert lines and all(line.startswith("not as the run was made: ") for line in lines)


def test_what_no_training_depends_on_may_be_changed_in_the_folder(quickstart: FinishedRun, tmp_path: Path) -> None:
    path, lines = shutil.copytree(quickstart.folder.path, tmp_path / "run"), []
    _edit(path / "recipe.yaml", f"  pairs: {quickstart.recipe.verification.pairs}\n", "  pairs: 4\n")
    _edit(path / "recipe.yaml", "name: quickstart", "name: other")
    assert runs.verify(path, tell=lines.append).interchange[0].pairs == 4 and not lines


def test_an_interrupted_run_does_not_continue_with_settings_edited_in_its_folder(tmp_path: Path) -> None:
    recipe = shrunk("quickstart", tmp_path / "run", *RESUMED)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runs, "build_trainer", interrupted("teacher", 3))
        runs.distill(recipe)
    _edit(recipe.folder / "recipe.yaml", "weight_decay: 0.01", "weight_decay: 0.5")
    with pytest.raises(ValueError, match=r"teacher was trained with other settings .*weight_decay was 0.01, is 0.5"):
        runs.distill(runs.Recipe.load(recipe.folder / "recipe.yaml"))


def _given_teacher(folder: Path, more: float) -> Path:
    """A checkpoint that other weights can be put into."""
    model = planted_model(num_hidden_layers=4)
    with torch.no_grad():
        model.model.get_input_embeddings().weight.add_(more)
    model.save_pretrained(folder)
    return folder


GIVEN = ("teacher.config=null", "teacher.training=null", "students.kd.layers=[0, 1]", "students.diito.layers=[0, 1]")


def test_the_files_of_a_checkpoint_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = _given_teacher(tmp_path / "teacher", 0)
    recipe, read = shrunk("quickstart", tmp_path / "run", *GIVEN, f"teacher.model={teacher}"), Counter[str]()
    monkeypatch.setattr(digests, "_SETTLED_SECONDS", 0.0)
    monkeypatch.setattr(digests, "file_digest", lambda path: str(read.update([path.name])))
    checkpoints_of(recipe)
    source_digests(recipe)
    assert read["model.safetensors"] == read["config.json"] == 1


def test_checkpoints_that_have_moved_are_the_same(tmp_path: Path) -> None:
    def recipe(place: Path, **of_student: Any) -> Recipe:
        (place / "teacher").mkdir(parents=True, exist_ok=True)
        (place / "teacher" / "config.json").write_text("{}")
        student = {"name": "one", "model": str(place / "teacher"), "objectives": {"task": {}}, **of_student}
        given = {"name": "x", "teacher": {"model": str(place / "teacher")}, "students": [student], "output": str(run)}
        return Recipe.parse({**given, "data": {"task": "planted"}, "alignment": "middle", "training": {"steps": 1}})

    run = tmp_path / "run"
    before, now = recipe(tmp_path / "a"), recipe(tmp_path / "b")
    run.mkdir()
    (run / "data.json").write_text(json.dumps({"checkpoints": checkpoints_of(before)}))
    assert with_present_paths(RunFolder(run), before, now) == now != before
    (tmp_path / "b" / "teacher" / "config.json").write_text("{ }")
    assert with_present_paths(RunFolder(run), before, now) == before
    tuned = [
        FinetuneRecipe.parse({"name": "t", "model": str(tmp_path / name / "teacher"), "training": {"steps": 1}})
        for name in "ab"
    ]
    (run / "data.json").write_text(json.dumps({"checkpoints": checkpoints_of(tuned[1])}))
    assert with_present_paths(RunFolder(run), *tuned) == tuned[1]


def test_a_teacher_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    teacher = _given_teacher(tmp_path / "teacher", 0)
    recipe = shrunk("quickstart", tmp_path / "run", *GIVEN, f"teacher.model={teacher}")
    assert list(checkpoints_of(recipe)) == ["teacher.model"]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runs, "build_trainer", interrupted("diito", 2))
        runs.distill(recipe)
    _given_teacher(teacher, 1)
    with pytest.raises(
        ValueError, match=r"teacher.model: the files of this checkpoint are others than when the run was made"
    ):
        runs.distill(recipe)
    _given_teacher(teacher, 0)
    runs.distill(recipe)
    _given_teacher(teacher, 1)
    with pytest.raises(ValueError, match=r"was made with has changed. teacher.model: .*--accept-changed-data"):
        runs.verify(recipe.folder)
    told: list[str] = []
    runs.verify(recipe.folder, accept_changed_data=True, tell=told.append)
    assert [line.partition(":")[0] for line in told] == ["not as the run was made"]
