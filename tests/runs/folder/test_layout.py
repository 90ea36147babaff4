"""The paths of the parts of a run, and that nothing but a run is ever deleted."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from causalkd.files.manifest import write_manifest
from causalkd.recipe.finetune import FinetuneRecipe
from causalkd.recipe.recipe import Recipe
from causalkd.runs.folder.layout import RunFolder, write_whole

FILES = (
    "recipe.yaml",
    "alignment.yaml",
    "metrics.jsonl",
    "report.json",
    "report.html",
    "report.md",
    "found_alignment.yaml",
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """What a run writes, as empty files, and two drafts that an interrupt left."""
    folder = RunFolder(tmp_path / "run")
    for name in (
        *FILES,
        "teacher/config.json",
        "student/kd-seed0/config.json",
        "costs/kd-seed0.json",
        "attributions/results.json",
    ):
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).write_text("{}")
    for model in ("teacher", "student/kd-seed0"):
        write_manifest(folder.path / model)
    for draft in (".recipe.yaml.draft", ".report.json.k3j2h1"):
        (folder.path / draft).write_text("half of")
    return folder


def test_where_things_lie(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert [p.name for p in (folder.recipe, folder.alignment, folder.metrics, folder.report)] == list(FILES[:4])
    several = Recipe.load("quickstart")
    assert folder.student(several, "kd", 3) == tmp_path / "student" / "kd-seed3"
    assert (
        folder.student(several.model_copy(update={"students": several.students[:1]}), "kd", 0) == tmp_path / "student"
    )


def test_a_run_is_deleted_whole(run: RunFolder) -> None:
    run.clear()
    assert run.path.is_dir() and not run.holds_anything()
    run.clear()
    RunFolder(run.path / "nowhere").clear()


@pytest.mark.parametrize("foreign", ["notes.txt", ".git/config", "student.txt", "student.bak/x", ".recipe.yaml"])
def test_a_folder_that_holds_something_else_is_left_as_it_is(run: RunFolder, foreign: str) -> None:
    (run.path / foreign).parent.mkdir(exist_ok=True)
    (run.path / foreign).write_text("mine")
    before = sorted(run.path.rglob("*"))
    name = Path(foreign).parts[0]
    with pytest.raises(ValueError, match=rf"holds {name}, so it is not exactly a run.*choose another `output`"):
        run.clear()
    assert sorted(run.path.rglob("*")) == before


def test_links_are_not_followed(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (run.path / "unfinished").symlink_to(tmp_path / "precious")
    with pytest.raises(ValueError, match="holds unfinished"):
        run.clear()
    assert (tmp_path / "precious").is_dir()


@pytest.mark.parametrize("lacking", ["recipe.yaml", "alignment.yaml"])
def test_a_folder_that_lacks_what_a_run_has_is_left_as_it_is(run: RunFolder, lacking: str) -> None:
    (run.path / lacking).unlink()
    with pytest.raises(ValueError, match=f"has no {lacking}, so it is not exactly a run"):
        run.clear()
    assert run.report.is_file()


def test_a_folder_that_is_no_run_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "teacher").mkdir()
    monkeypatch.setattr(os, "walk", lambda *_, **__: pytest.fail("searched"))
    with pytest.raises(ValueError, match=r"has no recipe\.yaml and no alignment\.yaml, so it is not exactly a run"):
        RunFolder(tmp_path).clear()


def test_a_fine_tuning_has_no_alignment_and_can_be_overwritten(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.start(FinetuneRecipe.parse({"name": "tuned", "model": "minilm-l6", "training": {}}), None)
    folder.finetuned.write_text("{}")
    assert folder.holds_finetuning() and folder.finished
    folder.set_aside()
    assert not folder.finished and RunFolder(folder.replaced).finished
    folder.settle()  # nothing new was begun, so it comes back
    assert folder.finished
    folder.clear()
    assert not folder.holds_anything()


def test_a_file_is_no_place_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file is a file, so a run cannot be written there; choose another `output`"):
        RunFolder(tmp_path / "file").holds_anything()
    assert not RunFolder(tmp_path / "nowhere").holds_anything()


def test_the_last_checkpoint_is_the_last_that_is_whole(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.last_checkpoint("kd") is None
    for step, whole in ((2, True), (10, True), (12, False)):
        checkpoint = folder.work("kd") / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "trainer_state.json").write_text("{}")
        if whole:
            write_manifest(checkpoint)
    (folder.work("kd") / "checkpoint-10 (copy)").mkdir()
    assert folder.last_checkpoint("kd") == folder.work("kd") / "checkpoint-10"


def test_what_a_training_cost(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_cost("kd-seed0") == (None, None, None)
    folder.cost("kd-seed0").parent.mkdir()
    for resumed, expected in ((False, (12.0, 3.5, 7)), (True, (None, None, 7))):
        cost = {"block_forwards": 12, "seconds": 3.5, "steps": 7, "resumed": resumed}
        folder.cost("kd-seed0").write_text(json.dumps(cost))
        assert folder.read_cost("kd-seed0") == expected


@pytest.mark.parametrize("text", ['{"steps": 7, "sec', "[]", "{}", '{"block_forwards": null, "seconds": 1}', "\xff"])
def test_a_damaged_cost_is_named_and_what_to_do(tmp_path: Path, text: str) -> None:
    folder = RunFolder(tmp_path)
    folder.cost("kd-seed0").parent.mkdir()
    folder.cost("kd-seed0").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"costs/kd-seed0\.json is damaged: .*; put it back from a copy, or delete it"):
        folder.read_cost("kd-seed0")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_whole(path, "old — é")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    assert path.read_text(encoding="utf-8") == "old — é"
    write_whole(path, "new")
    assert [entry.read_text() for entry in tmp_path.glob("report.html")] == ["new"]


@pytest.mark.parametrize("own", ["student/notes.txt", "teacher/kept/x", "costs/thesis.tex", "attributions/kd/plot.png"])
def test_a_users_own_file_inside_a_runs_folders_is_never_deleted(run: RunFolder, own: str) -> None:
    (run.path / own).parent.mkdir(parents=True, exist_ok=True)
    (run.path / own).write_text("mine")
    before = sorted(run.path.rglob("*"))
    for overwrite in (run.clear, run.set_aside):
        with pytest.raises(ValueError, match=rf"holds {own}, so it is not exactly a run"):
            overwrite()
    assert sorted(run.path.rglob("*")) == before


def test_a_model_without_a_manifest_is_not_ours(run: RunFolder) -> None:
    (run.path / "teacher" / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"holds teacher/config.json, so"):
        run.set_aside()


def _names(path: Path) -> list[str]:
    return sorted(str(entry.relative_to(path)) for entry in path.rglob("*") if entry.is_file())


def test_a_run_stands_aside_until_the_new_one_stands(run: RunFolder) -> None:
    before = _names(run.path)
    run.set_aside()
    assert not run.holds_anything() and _names(run.replaced) == before
    for name in ("recipe.yaml", "alignment.yaml", "metrics.jsonl"):
        (run.path / name).write_text("new")
    run.settle()
    assert (
        len(_names(run.replaced)) == len([name for name in before if "draft" not in name and "k3j2h1" not in name]) + 2
    )
    run.set_aside()  # the new one is to be replaced before it is finished: the old one is the one worth keeping
    assert not run.holds_anything() and _names(run.replaced) == before
    for name in ("recipe.yaml", "alignment.yaml", "report.json"):
        (run.path / name).write_text("new")
    run.settle()
    assert _names(run.path) == ["alignment.yaml", "recipe.yaml", "report.json"] and not run.replaced.exists()


def _die_at(number: int, patch: pytest.MonkeyPatch) -> None:
    """Lets the process die at the so-many-th move or deletion of a file or folder."""
    left = iter(range(number))

    def dying(real: Callable[..., None]) -> Callable[..., None]:
        def call(*given: Any, **options: Any) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt
            real(*given, **options)

        return call

    for name in ("replace", "unlink", "rmdir"):
        patch.setattr(os, name, dying(getattr(os, name)))


@pytest.mark.parametrize("number", range(0, 14))
def test_a_kill_while_a_run_is_set_aside_loses_nothing(run: RunFolder, number: int) -> None:
    run.settle()  # drafts
    before = _names(run.path)
    with pytest.MonkeyPatch.context() as patch:
        _die_at(number, patch)
        try:
            run.set_aside()
        except KeyboardInterrupt:
            pass
    with pytest.MonkeyPatch.context() as patch:
        _die_at(number // 2, patch)
        try:
            run.settle()  # which is killed too
        except KeyboardInterrupt:
            pass
    run.settle()
    assert _names(run.path) == before


@pytest.mark.parametrize("number", range(0, 20, 3))
def test_a_kill_while_the_replaced_run_is_deleted_is_made_good(run: RunFolder, number: int) -> None:
    run.set_aside()
    for name in ("recipe.yaml", "alignment.yaml", "report.json"):
        (run.path / name).write_text("new")
    with pytest.MonkeyPatch.context() as patch:
        _die_at(number, patch)
        try:
            run.settle()
        except KeyboardInterrupt:
            pass
    run.settle()
    assert _names(run.path) == ["alignment.yaml", "recipe.yaml", "report.json"] and not run.replaced.exists()


def test_what_a_kill_at_the_start_leaves_is_known(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for name in ("alignment.yaml", "data.json", ".lock", ".worker.json", ".recipe.yaml.draft", "..worker.json.draft"):
        (tmp_path / name).write_text("")
    folder.settle()
    for foreign in ("[1]", '{"data": [1]}', "no JSON"):  # a file of the user's
        folder.data.write_text(foreign)
        assert not folder.hardly_begun()
    folder.data.write_text('{"train": {}, "heldout": {}, "recipe": {}}')
    assert folder.hardly_begun() and _names(tmp_path) == [".lock", ".worker.json", "alignment.yaml", "data.json"]
    (tmp_path / "thesis.tex").write_text("years of work")
    assert not folder.hardly_begun()
