"""What a finished run was made from is compared with the files of now, without reading any data."""

import json
from pathlib import Path
from typing import Any

import pytest

from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import DataPart
from causalkd.runs.folder.inputs import OUTPUTS, check_inputs_outside
from causalkd.runs.folder.layout import RunFolder
from causalkd.runs.setup.provenance import checkpoints_of
from causalkd.runs.setup.source_files import RECIPE, SOURCES, changed_sources, data_files, source_digests
from causalkd.training.precomputed import write_index

ALIGNMENT = "name: one\npositions: {policy: all}\npairs: [{name: one, teacher: [{layer: 1}], student: [{layer: 0}]}]\n"


def _recipe(place: Path) -> Recipe:
    """A recipe of files in a folder."""
    for name in ("data/train.csv", "data/validation.csv", "other/dev.csv", "teacher/config.json", "teacher/vocab.txt"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(name)
    (place / "alignment.yaml").write_text(ALIGNMENT)
    given: dict[str, Any] = {
        "name": "own",
        "data": {"path": str(place / "data"), "kind": "classification"},
        "teacher": {"model": str(place / "teacher")},
        "alignment": str(place / "alignment.yaml"),
        "students": [{"name": "one", "layers": [0], "objectives": {"task": {}}}],
        "training": {"steps": 1},
        "output": str(place / "run"),
    }
    given["data"]["splits"] = {"validation": str(place / "other" / "dev.csv")}
    return Recipe.parse(given)


def _made(recipe: Recipe) -> RunFolder:
    """The folder of a run that was made from the files as they are."""
    folder = RunFolder(recipe.folder)
    folder.path.mkdir()
    folder.data.write_text(json.dumps({SOURCES: source_digests(recipe)}))
    folder.alignment.write_text(ALIGNMENT)
    return folder


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("data/train.csv", "data.path"),
        ("data/further.csv", "data.path"),
        ("other/dev.csv", "data.splits.validation"),
        ("teacher/config.json", "teacher.model"),
        ("teacher/vocab.txt", "teacher.model"),
    ],
)
def test_every_file_that_a_recipe_names_is_compared(tmp_path: Path, name: str, key: str) -> None:
    recipe = _recipe(tmp_path)
    folder = _made(recipe)
    assert changed_sources(folder, recipe) == []
    (tmp_path / name).write_text("other rows")
    assert changed_sources(folder, recipe) == [key]


def test_an_alignment_is_compared_by_what_it_says(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path)
    folder = _made(recipe)
    (tmp_path / "alignment.yaml").write_text(f"# a remark\n{ALIGNMENT}")
    assert changed_sources(folder, recipe) == []
    (tmp_path / "alignment.yaml").write_text(ALIGNMENT.replace("layer: 1", "layer: 2"))
    assert changed_sources(folder, recipe) == ["alignment"]


def test_what_is_not_there_or_not_recorded_is_not_compared(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path)
    folder = _made(recipe)
    for file in (tmp_path / "data").iterdir():
        file.unlink()
    assert changed_sources(folder, recipe) == []
    folder.data.write_text("{}")
    assert changed_sources(folder, recipe) == []
    folder.data.write_text("{")
    with pytest.raises(ValueError, match=r"data.json cannot be read.*put it back from a copy"):
        changed_sources(folder, recipe)


def test_registered_tasks_are_compared_by_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    assert data_files(DataPart(task="planted")) == {"data.task": []}
    (tmp_path / "RTE").mkdir()
    (tmp_path / "RTE" / "train.tsv").write_text("rows")
    assert data_files(DataPart(task="rte")) == {"data.task": [tmp_path / "RTE" / "train.tsv"]}


def test_files_that_a_run_was_made_without_or_whose_rows_the_hub_has_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, rows = _recipe(tmp_path), tmp_path / "RTE" / "train.tsv"
    recipe = recipe.model_copy(update={"data": DataPart(task="rte"), "output": str(tmp_path / "of the hub")})
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    folder = _made(recipe)
    assert changed_sources(folder, recipe) == []
    rows.parent.mkdir()
    rows.write_text("rows")
    assert changed_sources(folder, recipe) == ["data.task"]
    recipe = recipe.model_copy(update={"output": str(tmp_path / "of files")})
    folder = _made(recipe)
    assert changed_sources(folder, recipe) == []
    monkeypatch.delenv("CAUSALKD_DATA")
    assert changed_sources(folder, recipe) == ["data.task"]
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "config.json").write_text("{}")
    part = recipe.students[0].model_copy(update={"layers": None, "model": str(tmp_path / "student")})
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    assert changed_sources(folder, others := recipe.model_copy(update={"students": (part,)})) == ["students.one.model"]
    made = {**json.loads(folder.data.read_text()), RECIPE: recipe.model_dump(mode="json")}
    folder.data.write_text(json.dumps(made))
    assert changed_sources(folder, others) == [], "another recipe, which is compared elsewhere"


def test_only_files_of_splits_are_compared(tmp_path: Path) -> None:
    for name in ("rows.csv", "held.csv", "note.csv"):
        (tmp_path / name).write_text("text,label\n")
    given: dict[str, Any] = {"path": str(tmp_path), "kind": "classification"}
    held = {"data.splits.validation": [tmp_path / "held.csv"]}
    named = DataPart.model_validate({**given, "splits": {"train": "rows.csv", "validation": "held.csv"}})
    assert data_files(named) == {"data.splits.train": [tmp_path / "rows.csv"], **held}
    rest = DataPart.model_validate({**given, "splits": {"validation": "held.csv"}})
    assert data_files(rest) == {"data.path": [tmp_path / "note.csv", tmp_path / "rows.csv"], **held}
    part = {"part_of": "train", "share": 0.5}
    drawn = DataPart.model_validate({**given, "splits": {"train": "rows.csv", "validation": part}})
    assert data_files(drawn)["data.splits.train"] == [tmp_path / "rows.csv"]


def test_precomputed_outputs_are_compared_by_what_they_are_of(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path)
    outputs = tmp_path / "outputs"
    recipe = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"outputs": str(outputs)})})
    outputs.mkdir()
    assert OUTPUTS not in source_digests(recipe)  # they are not finished
    write_index(outputs, teacher="00", top_k=None, recipe={})
    folder = _made(recipe)
    write_index(outputs, teacher="00", top_k=None, recipe={"students": ["one more"]})
    assert changed_sources(folder, recipe) == []
    write_index(outputs, teacher="00", top_k=2, recipe={})
    assert changed_sources(folder, recipe) == [OUTPUTS] and list(checkpoints_of(recipe)) == ["teacher.model", OUTPUTS]
    with pytest.raises(ValueError, match=r"teacher.outputs is '.*outputs', alignment is .* which lies in that folder"):
        check_inputs_outside(recipe.model_copy(update={"output": str(tmp_path)}))


def test_a_finetuning_is_made_from_its_model(tmp_path: Path) -> None:
    _recipe(tmp_path)
    given = {"name": "tuned", "model": str(tmp_path / "teacher"), "training": {"steps": 1}}
    recipe = FinetuneRecipe.parse(given)
    before = source_digests(recipe)
    (tmp_path / "teacher" / "model.safetensors").write_text("weights")
    assert list(before) == ["model"] and source_digests(recipe) != before
