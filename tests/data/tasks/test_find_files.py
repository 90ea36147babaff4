import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from causalkd.data.tasks import find_files as module
from causalkd.data.tasks.find_files import find_files, split_of


@pytest.mark.parametrize(
    ("name", "split"),
    [("train", "train"), ("my_dev-2", "validation"), ("validation_matched", "validation"), ("tested", None)],
)
def test_a_name_says_its_split(name: str, split: str | None) -> None:
    assert split_of(name) == split


def _written(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("the fox")
    return [folder / name for name in names]


def test_a_folder_a_pattern_and_a_file_are_found(tmp_path: Path) -> None:
    _written(tmp_path, "b.txt", "a.txt", "notes.md")
    both = [tmp_path / "a.txt", tmp_path / "b.txt"]
    assert find_files(str(tmp_path)) == both == find_files(f"{tmp_path}/*.txt")
    assert find_files(str(both[0])) == both[:1] and find_files("glue") == []


def test_a_pattern_means_what_it_means_to_glob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _written(Path(), "a.csv", "x/a.csv", "x/b.csv", "x/y/a.csv", "x/y/notes.md", "z/.hidden.csv", "[1].csv")
    for pattern, found in {
        "*.csv": ["[1].csv", "a.csv"],
        "x/*": ["x/a.csv", "x/b.csv"],
        "*/a.csv": ["x/a.csv"],
        "**/a.csv": ["a.csv", "x/a.csv", "x/y/a.csv"],
        "x/**": ["x/a.csv", "x/b.csv", "x/y/a.csv", "x/y/notes.md"],
        "**/y/**/*.csv": ["x/y/a.csv"],
        "x/?.csv": ["x/a.csv", "x/b.csv"],
        "z/*.csv": [],
        "z/.*.csv": ["z/.hidden.csv"],
        "x/../[a-b].csv": ["x/../a.csv"],
        "none/**": [],
        "a.csv/*": [],
    }.items():
        assert list(map(str, find_files(pattern))) == found, pattern
        absolute = find_files(f"{tmp_path}/{pattern}")
        assert absolute == [tmp_path / name for name in found], pattern


def test_hidden_folders_environments_and_links_to_folders_are_not_entered(tmp_path: Path) -> None:
    kept, *_ = _written(tmp_path, "data/a.csv", ".cache/b.csv", "venv/lib/c.csv", "venv/pyvenv.cfg", "conda/d.csv")
    (tmp_path / "conda" / "conda-meta").mkdir()
    (tmp_path / "data" / "round").symlink_to(tmp_path)
    assert find_files(str(tmp_path)) == [kept] == find_files(f"{tmp_path}/**/*.csv")
    # What is named is entered.
    assert find_files(str(tmp_path / "venv")) == [tmp_path / "venv/lib/c.csv"]
    assert find_files(f"{tmp_path}/.cache/**") == [tmp_path / ".cache/b.csv"]


@pytest.fixture
def deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file in more folders than Python has frames; they are taken away again, since pytest cannot."""
    monkeypatch.chdir(tmp_path)
    depth = sys.getrecursionlimit() + 100
    for _ in range(depth):
        os.mkdir("d")
        os.chdir("d")
    Path("a.csv").touch()
    os.chdir(tmp_path)
    yield Path("/".join(["d"] * depth), "a.csv")
    for _ in range(depth):
        os.chdir("d")
    Path("a.csv").unlink()
    for _ in range(depth):
        os.chdir("..")
        os.rmdir("d")


def test_a_folder_is_searched_to_any_depth(deep: Path) -> None:
    assert find_files(".") == find_files("**/*.csv") == [deep]


def test_what_runs_have_written_is_no_data(tmp_path: Path) -> None:
    (kept,) = _written(tmp_path, "a/recipe.csv")
    _written(tmp_path, "runs/x/recipe.yaml", "runs/x/data.json", "runs/x/metrics.jsonl", "runs/x/costs/one.json")
    _written(tmp_path, "studies/s/study.yaml", "studies/s/cells.jsonl", "studies/s/failures/one.json")
    assert len(find_files(str(tmp_path))) == 4, "a data.json of one's own beside a recipe of one's own is data"
    (tmp_path / "runs/x/data.json").write_text('{"train": {}, "heldout": {}, "recipe": {}}')
    assert find_files(str(tmp_path)) == [kept] == find_files(f"{tmp_path}/**")
    assert find_files(f"{tmp_path}/runs/x/*.jsonl") == [tmp_path / "runs/x/metrics.jsonl"]


@pytest.mark.parametrize("pattern", ["", "/**", "/**/*.csv", "/*/*"])
def test_a_search_ends_with_what_was_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    monkeypatch.setattr(module, "MOST_ENTRIES", 20)
    _written(tmp_path, *(f"x/{number}.csv" for number in range(15)), *(f"x/{number}.py" for number in range(30)))
    with pytest.raises(ValueError, match=r"holds more than 20 files and folders, not counting hidden .*seen so far: "):
        find_files(f"{tmp_path}{pattern}")


def test_the_message_of_a_search_given_up_counts_and_names_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ENTRIES", 4)
    _written(tmp_path, "a.csv", "b.csv", "c.csv", "d.csv", "e.csv")
    with pytest.raises(ValueError, match=r"so far: 5 \.csv, such as .*/[a-e]\.csv\. Name the folder in which the data"):
        find_files(str(tmp_path))
    for path in tmp_path.iterdir():
        path.rename(path.with_suffix(".md"))
    with pytest.raises(ValueError, match=r"so far: none whose name ends in \.csv, .*\. Name the folder in which"):
        find_files(str(tmp_path))


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _written(tmp_path, "a.csv", "closed/b.csv")
    scandir = os.scandir

    def closed(folder: Path) -> object:
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(ValueError, match=r"closed cannot be read \(Permission denied\), .*pattern of files that you"):
        find_files(str(tmp_path))
    assert find_files(f"{tmp_path}/*.csv") == [tmp_path / "a.csv"]


def test_a_folder_that_is_deleted_meanwhile_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kept,) = _written(tmp_path, "a.csv")
    (tmp_path / "gone").mkdir()
    scandir = os.scandir

    def gone(folder: Path) -> object:
        if Path(folder).name == "gone":
            (tmp_path / "gone").rmdir()
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", gone)
    assert find_files(str(tmp_path)) == [kept]
