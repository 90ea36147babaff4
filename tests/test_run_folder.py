"""Where the parts of a run lie, and that nothing but a run is ever deleted."""

import json
from pathlib import Path

import pytest

from causalkd.manifest import write_manifest
from causalkd.recipe import Recipe
from causalkd.run_folder import RunFolder, write_whole

FILES = ("recipe.yaml", "alignment.yaml", "metrics.jsonl", "report.json", "report.html", "report.md", "found.yaml")


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
    with pytest.raises(ValueError, match=rf"holds {name}, so it is more or less than a run.*choose another `output`"):
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
    with pytest.raises(ValueError, match=f"has no {lacking}, so it is more or less than a run"):
        run.clear()
    assert run.report.is_file()


def test_a_file_is_no_place_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file is a file, so no run can be put there; choose another `output`"):
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
    assert folder.last_checkpoint("kd") == folder.work("kd") / "checkpoint-10"


def test_what_a_training_cost(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_cost("kd-seed0") == (None, None, None)
    folder.cost("kd-seed0").parent.mkdir()
    for resumed, expected in ((False, (12.0, 3.5, 7)), (True, (None, None, 7))):
        cost = {"block_forwards": 12, "seconds": 3.5, "steps": 7, "resumed": resumed}
        folder.cost("kd-seed0").write_text(json.dumps(cost))
        assert folder.read_cost("kd-seed0") == expected


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_whole(path, "old — é")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    assert path.read_text(encoding="utf-8") == "old — é"
    write_whole(path, "new")
    assert [entry.read_text() for entry in tmp_path.glob("report.html")] == ["new"]
